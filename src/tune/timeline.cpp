#include "tune/timeline.h"

#include <algorithm>
#include <cmath>

namespace hone {

Timeline::Timeline(const std::vector<int32_t>& lengths, PlanOptions options, double epochs,
                   int64_t max_steps)
    : lengths_(lengths), options_(options) {
  // By sample count all epochs have equally many steps; a token budget cuts each shuffle
  // differently.
  const bool epochs_are_alike = options.max_tokens == 0;
  int64_t size = 0, end = 0;
  for (int64_t epoch = 0; max_steps > 0 ? end < max_steps : static_cast<double>(epoch) < epochs;
       ++epoch) {
    if (epoch == 0 || !epochs_are_alike) size = EpochPlan(lengths, options, epoch).size();
    if (size == 0) break;
    end += size;
    ends_.push_back(end);
    // A fraction of an epoch is rounded up, as Transformers does.
    const double share = std::min(1.0, epochs - static_cast<double>(epoch));
    steps_ = max_steps > 0
                 ? std::min(end, max_steps)
                 : end - size + static_cast<int64_t>(std::ceil(share * static_cast<double>(size)));
  }
}

int64_t Timeline::epoch_of(int64_t step) const {
  return std::upper_bound(ends_.begin(), ends_.end(), step) - ends_.begin();
}

double Timeline::epoch_after(int64_t steps_done) const {
  const int64_t epoch =
      std::min<int64_t>(epoch_of(steps_done), static_cast<int64_t>(ends_.size()) - 1);
  const int64_t start = epoch == 0 ? 0 : ends_[epoch - 1];
  return static_cast<double>(epoch) +
         static_cast<double>(steps_done - start) / static_cast<double>(ends_[epoch] - start);
}

bool Timeline::ends_epoch(int64_t steps_done) const {
  return steps_done == steps_ || std::binary_search(ends_.begin(), ends_.end(), steps_done);
}

std::vector<std::vector<int64_t>> Timeline::micro_batches(int64_t steps_done) {
  const int64_t epoch = epoch_of(steps_done);
  if (epoch != planned_epoch_) {
    plan_ = {};  // before the next is made: one order in memory, not two
    plan_ = EpochPlan(lengths_, options_, epoch);
    planned_epoch_ = epoch;
  }
  return plan_.step(steps_done - (epoch == 0 ? 0 : ends_[epoch - 1]));
}

}  // namespace hone
