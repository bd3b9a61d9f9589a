// Where a run stands: what a checkpoint keeps beside weights and moments. There is no generator to
// save: randomness is a function of (seed, step, sample).
#pragma once

#include <cstdint>

#include "base/json.h"
#include "tune/best_tracker.h"
#include "tune/step_statistics.h"

namespace hone {

struct RunProgress {
  int64_t step = 0;            // optimizer steps done
  int64_t evaluated_step = 0;  // after which the last evaluation was made
  bool stopped_early = false;
  double seconds = 0;  // spent on steps
  int64_t tokens = 0;
  BestTracker best;
  // Of reduce_lr_on_plateau: what the rate is multiplied with by now, and evaluations since it fell
  // or one was the best.
  double rate_factor = 1;
  int64_t waited = 0;
  StepStatistics statistics;

  double tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  }
  // An evaluation was made: the rate falls to `factor` of it after more than `patience` that were
  // not the best, as torch.optim.lr_scheduler.ReduceLROnPlateau has it.
  void wait_on_plateau(bool is_best, double factor, int64_t patience);
  Json state() const;
  void load_state(const Json& state);  // a run that is given more patience goes on
};

}  // namespace hone
