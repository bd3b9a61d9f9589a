#include "tune/best_tracker.h"

#include <cmath>

namespace hone {

Metric Criterion::of(const Report& report, double loss) const {
  const Metric by_loss{.name = "loss", .value = loss, .greater_is_better = false};
  if (metric == "loss" || (metric.empty() && report.metric.empty())) return by_loss;
  return report.named(metric.empty() ? report.metric : metric);
}

Criterion criterion_named(const std::string& name) {
  return {name.starts_with("eval_") ? name.substr(5) : name};
}

bool BestTracker::add(int64_t step, const Metric& score) {
  const bool is_better = !best_score_ || (score.greater_is_better ? score.value > *best_score_
                                                                  : score.value < *best_score_);
  const bool is_best = std::isfinite(score.value) && is_better;
  const bool improves =
      is_best && (!best_score_ || std::abs(score.value - *best_score_) > threshold_);
  without_improvement_ = improves ? 0 : without_improvement_ + 1;
  if (is_best) {
    best_score_ = score.value;
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
