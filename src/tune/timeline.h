// Optimizer steps on a line: how many there are, which epoch each belongs to, and which samples
// form it. A pure function of (seed, lengths, options), so a resumed run asks for step k and gets
// step k.
#pragma once

#include <cstdint>
#include <vector>

#include "data/plan.h"

namespace hone {

class Timeline {
 public:
  // `max_steps` > 0 wins over `epochs`, which may be fractional. REQUIRES: lengths is not empty and
  // outlives this.
  Timeline(const std::vector<int32_t>& lengths, PlanOptions options, double epochs,
           int64_t max_steps);

  int64_t steps() const { return steps_; }
  // Planned; where that would mean to plan hundreds of epochs, as if all were like the first.
  double epochs() const;
  double epoch_after(int64_t steps_done) const;  // 1.5: the middle of the second epoch
  bool ends_epoch(int64_t steps_done) const;     // the last of these steps ends an epoch, or all
  // Micro-batches of sample indices of the step that follows `steps_done` ones. Keeps one epoch's
  // plan: for use by one thread.
  std::vector<std::vector<int64_t>> micro_batches(int64_t steps_done);

 private:
  int64_t end_of(int64_t epoch) const;  // steps in epochs 0 .. epoch, planned in full
  int64_t start_of(int64_t epoch) const { return epoch == 0 ? 0 : end_of(epoch - 1); }
  int64_t epoch_of(int64_t step) const;

  const std::vector<int32_t>& lengths_;
  PlanOptions options_;
  int64_t steps_ = 0;
  // By sample count all epochs have equally many steps, and their number may be anything. A token
  // budget cuts each shuffle differently: then each epoch's end is kept, and planned when asked
  // for.
  int64_t first_epoch_ = 0;            // its steps
  mutable std::vector<int64_t> ends_;  // of the epochs planned so far, with a token budget
  int64_t planned_epoch_ = -1;
  EpochPlan plan_;
};

}  // namespace hone
