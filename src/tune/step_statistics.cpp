#include "tune/step_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hone {
namespace {

constexpr size_t kRecent = 128;  // as llm.c's OutlierDetector
constexpr size_t kEnough = 16;

double z_score(const std::vector<double>& values, double value) {
  if (values.size() < kEnough) return 0;
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (double v : values) squares += (v - mean) * (v - mean);
  return squares > 0 ? (value - mean) / std::sqrt(squares / n) : 0;
}

void remember(std::vector<double>& values, double value) {
  if (values.size() == kRecent) values.erase(values.begin());
  values.push_back(value);
}

}  // namespace

void StepStatistics::add(double loss, double norm, const Numbers& numbers) {
  loss_z_ = z_score(losses_, loss);
  norm_z_ = z_score(norms_, norm);
  remember(losses_, loss);
  remember(norms_, norm);
  window_loss_ += loss;
  ++window_steps_;
  for (const auto& [name, value] : numbers) window_numbers_[name] += value;
}

double StepStatistics::mean_loss() const {
  return window_loss_ / static_cast<double>(std::max<int64_t>(1, window_steps_));
}

Numbers StepStatistics::mean_numbers() const {
  Numbers means;
  for (const auto& [name, sum] : window_numbers_)
    means.emplace_back(name, sum / static_cast<double>(window_steps_));
  return means;
}

void StepStatistics::begin_window() {
  window_loss_ = 0;
  window_numbers_.clear();
  window_steps_ = 0;
}

Json StepStatistics::state() const {
  return {{"window_loss", window_loss_},
          {"window_steps", window_steps_},
          {"window_numbers", window_numbers_},
          {"losses", losses_},
          {"norms", norms_}};
}

void StepStatistics::load_state(const Json& state) {
  window_loss_ = state.at("window_loss").get<double>();
  window_steps_ = state.at("window_steps").get<int64_t>();
  window_numbers_ = state.value("window_numbers", std::map<std::string, double>{});
  losses_ = state.at("losses").get<std::vector<double>>();
  norms_ = state.at("norms").get<std::vector<double>>();
}

}  // namespace hone
