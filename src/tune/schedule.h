// Learning-rate schedules: a factor of the base rate as a pure function of the step. No state, so
// resuming needs none. The same values as transformers.get_scheduler of the same name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/table.h"

namespace hone {

struct ScheduleOptions {
  std::string type = "linear";  // a name of the table
  int64_t warmup_steps = 0, total_steps = 0;
  double power = 1.0, end_factor = 0.0;  // polynomial (end_factor = lr_end / lr)
  double cycles = 0.5;                   // cosine
  double restarts = 1;                   // cosine_with_restarts: how many falls from 1 to 0
  double decay_share = 0.1;              // warmup_stable_decay: of all steps, at the end
};

struct ScheduleInfo {
  const char* name;
  // After warm-up, from its last step on; steps count from 0.
  double (*factor)(const ScheduleOptions& options, int64_t step);
  bool has_warmup = true;  // from 0 to 1 in warmup_steps
};
Table<ScheduleInfo>& schedules();  // schedule.cpp: one line each

// The rate falls where evaluations no longer improve (torch.optim.lr_scheduler.ReduceLROnPlateau):
// the one schedule with a state, which the run's progress keeps. As a function it is constant.
constexpr const char* kReduceOnPlateau = "reduce_lr_on_plateau";

// Error(kUsage) for an unknown type.
std::function<double(int64_t step)> make_schedule(const ScheduleOptions& options);

}  // namespace hone
