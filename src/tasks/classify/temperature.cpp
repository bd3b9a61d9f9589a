#include "tasks/classify/temperature.h"

#include <algorithm>
#include <cmath>

#include "tasks/classify/scorer.h"
#include "tasks/metrics/calibration.h"

namespace hone::classify {
namespace {

constexpr double kLeast = 5e-7;  // results have six decimals
constexpr double kColdest = 0.05, kHottest = 20;

// Their softmax at a temperature.
std::vector<double> softened(const std::vector<double>& logits, double temperature) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double sum = 0;
  for (const double logit : logits) {
    p.push_back(std::exp((logit - highest) / temperature));
    sum += p.back();
  }
  for (double& one : p) one /= sum;
  return p;
}

}  // namespace

void TemperatureSearch::add(const std::vector<double>& p, size_t gold) {
  Row row{{}, gold};
  for (const double one : p) row.logits.push_back(std::log(std::max(one, kLeast)));
  rows_.push_back(std::move(row));
}

double TemperatureSearch::mean_loss(double temperature) const {
  double sum = 0;
  for (const Row& row : rows_) sum -= std::log(softened(row.logits, temperature)[row.gold]);
  return sum / static_cast<double>(rows_.size());
}

double TemperatureSearch::calibration_error(double temperature) const {
  metrics::Calibration calibration;
  for (const Row& row : rows_) {
    const std::vector<double> p = softened(row.logits, temperature);
    const auto best = std::max_element(p.begin(), p.end());
    calibration.add(*best, static_cast<size_t>(best - p.begin()) == row.gold);
  }
  return calibration.expected_error();
}

// By golden sections of its logarithm.
double TemperatureSearch::best() const {
  constexpr double kGolden = 0.6180339887498949;
  constexpr int kSections = 40;  // of a range of 6 they leave 3e-8
  double low = std::log(kColdest), high = std::log(kHottest);
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  double at_a = mean_loss(std::exp(a)), at_b = mean_loss(std::exp(b));
  for (int i = 0; i < kSections; ++i) {
    if (at_a <= at_b) {
      high = b, b = a, at_b = at_a;
      a = high - kGolden * (high - low);
      at_a = mean_loss(std::exp(a));
    } else {
      low = a, a = b, at_a = at_b;
      b = low + kGolden * (high - low);
      at_b = mean_loss(std::exp(b));
    }
  }
  return std::round(std::exp((low + high) / 2) * 1e6) / 1e6;  // as it is shown and kept
}

void TemperatureSearch::add_to(Report& report) const {
  if (rows_.empty()) return;
  const double temperature = best();
  report.add(
      {less_is_better(kNll), less_is_better(kBestNll), less_is_better(kBestEce), kBestTemperature},
      {mean_loss(1), mean_loss(temperature), calibration_error(temperature), temperature});
}

}  // namespace hone::classify
