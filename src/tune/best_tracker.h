// Which evaluation was the best, and when to stop waiting for a better one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "tasks/report.h"
#include "tasks/task.h"

namespace hone {

// The value that decides, and its direction.
struct Criterion {
  std::string metric;  // "loss" or a metric of the report; "": the report's own
  bool greater_is_better = true;

  double value(const Report& report, double loss) const;  // Error(kUsage) naming the known metrics
};

// The direction of the report's own metric is the task's; of others it follows the name. A prefix
// "eval_" says nothing.
Criterion criterion_named(const std::string& name, const TaskInfo& info);

class BestTracker {
 public:
  BestTracker() = default;
  BestTracker(bool greater_is_better, int64_t patience, double threshold)
      : greater_is_better_(greater_is_better), patience_(patience), threshold_(threshold) {}

  // True where `score` is the best so far. A score that is no number never is. Patience counts
  // evaluations that did not improve by more than the threshold, as
  // transformers.EarlyStoppingCallback does.
  bool add(int64_t step, double score);
  bool is_exhausted() const { return patience_ > 0 && without_improvement_ >= patience_; }
  std::optional<double> best_score() const { return best_score_; }
  int64_t best_step() const { return best_step_; }

  Json state() const;
  void load_state(const Json& state);

 private:
  bool greater_is_better_ = true;
  int64_t patience_ = 0;
  double threshold_ = 0;
  std::optional<double> best_score_;
  int64_t best_step_ = 0, without_improvement_ = 0;
};

}  // namespace hone
