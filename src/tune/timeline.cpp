#include "tune/timeline.h"

#include <algorithm>
#include <cmath>

namespace hone {

Timeline::Timeline(const std::vector<int32_t>& lengths, PlanOptions options, double epochs,
                   int64_t max_steps)
    : lengths_(lengths),
      options_(options),
      steps_(max_steps),
      first_epoch_(EpochPlan(lengths, options, 0).size()) {
  if (max_steps > 0) return;
  // A fraction of an epoch is rounded up, as Transformers does.
  const auto last = static_cast<int64_t>(std::ceil(epochs)) - 1;
  const double share = epochs - static_cast<double>(last);
  const int64_t start = start_of(last);
  steps_ =
      start + static_cast<int64_t>(std::ceil(share * static_cast<double>(end_of(last) - start)));
}

int64_t Timeline::end_of(int64_t epoch) const {
  if (options_.max_tokens == 0) return (epoch + 1) * first_epoch_;
  while (static_cast<int64_t>(ends_.size()) <= epoch) {
    const auto next = static_cast<int64_t>(ends_.size());
    ends_.push_back(start_of(next) + EpochPlan(lengths_, options_, next).size());
  }
  return ends_[static_cast<size_t>(epoch)];
}

int64_t Timeline::epoch_of(int64_t step) const {
  if (options_.max_tokens == 0) return step / first_epoch_;
  int64_t known = std::max<int64_t>(static_cast<int64_t>(ends_.size()) - 1, 0);
  while (end_of(known) <= step) ++known;
  return std::upper_bound(ends_.begin(), ends_.end(), step) - ends_.begin();
}

double Timeline::epochs() const {
  constexpr int64_t kMost = 100;
  if (options_.max_tokens == 0 || steps_ / first_epoch_ < kMost) return epoch_after(steps_);
  return static_cast<double>(steps_) / static_cast<double>(first_epoch_);
}

double Timeline::epoch_after(int64_t steps_done) const {
  const int64_t epoch = epoch_of(steps_done), start = start_of(epoch);
  return static_cast<double>(epoch) +
         static_cast<double>(steps_done - start) / static_cast<double>(end_of(epoch) - start);
}

bool Timeline::ends_epoch(int64_t steps_done) const {
  return steps_done > 0 && (steps_done == steps_ || start_of(epoch_of(steps_done)) == steps_done);
}

std::vector<std::vector<int64_t>> Timeline::micro_batches(int64_t steps_done) {
  const int64_t epoch = epoch_of(steps_done);
  if (epoch != planned_epoch_) {
    plan_ = {};  // before the next is made: one order in memory, not two
    plan_ = EpochPlan(lengths_, options_, epoch);
    planned_epoch_ = epoch;
  }
  return plan_.step(steps_done - start_of(epoch));
}

}  // namespace hone
