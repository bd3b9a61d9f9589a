#include "tune/best_tracker.h"

#include <cmath>

namespace hone {

double Criterion::value(const Report& report, double loss) const {
  if (metric.empty()) return report.score;
  return metric == "loss" ? loss : report.value(metric);
}

// Transformers' names are taken too: "eval_loss".
Criterion criterion_named(const std::string& name, const TaskInfo& info) {
  const std::string metric = name.starts_with("eval_") ? name.substr(5) : name;
  const bool is_main = metric.empty() || metric == info.main_metric;
  return {metric, is_main ? info.greater_is_better : greater_is_better(metric)};
}

bool BestTracker::add(int64_t step, double score) {
  const auto better = [&](double a, double b) { return greater_is_better_ ? a > b : a < b; };
  const bool is_best = std::isfinite(score) && (!best_score_ || better(score, *best_score_));
  const bool improves = is_best && (!best_score_ || std::abs(score - *best_score_) > threshold_);
  without_improvement_ = improves ? 0 : without_improvement_ + 1;
  if (is_best) {
    best_score_ = score;
    best_step_ = step;
  }
  return is_best;
}

Json BestTracker::state() const {
  return {{"score", best_score_ ? Json(*best_score_) : Json()},
          {"step", best_step_},
          {"without_improvement", without_improvement_}};
}

void BestTracker::load_state(const Json& state) {
  best_score_.reset();
  if (!state.at("score").is_null()) best_score_ = state.at("score").get<double>();
  best_step_ = state.at("step").get<int64_t>();
  without_improvement_ = state.at("without_improvement").get<int64_t>();
}

}  // namespace hone
