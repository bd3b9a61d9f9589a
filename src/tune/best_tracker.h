// Which evaluation was the best, and when to stop waiting for a better one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "tasks/report.h"

namespace hone {

// Which number decides.
struct Criterion {
  std::string metric;  // "loss" or a metric of the report; "": the report's own

  // Its value, and which way is better: the metric says so itself. A report without a metric of its
  // own is judged by the loss. Error(kUsage) naming the known metrics.
  Metric of(const Report& report, double loss) const;
};

// A prefix "eval_" says nothing, as in Transformers.
Criterion criterion_named(const std::string& name);

class BestTracker {
 public:
  BestTracker() = default;
  BestTracker(int64_t patience, double threshold) : patience_(patience), threshold_(threshold) {}

  // True where `score` is the best so far. One whose value is no number never is. Patience counts
  // evaluations that did not improve by more than the threshold, as
  // transformers.EarlyStoppingCallback does.
  bool add(int64_t step, const Metric& score);
  bool is_exhausted() const { return patience_ > 0 && without_improvement_ >= patience_; }
  std::optional<double> best_score() const { return best_score_; }
  int64_t best_step() const { return best_step_; }

  Json state() const;
  void load_state(const Json& state);

 private:
  int64_t patience_ = 0;
  double threshold_ = 0;
  std::optional<double> best_score_;
  int64_t best_step_ = 0, without_improvement_ = 0;
};

}  // namespace hone
