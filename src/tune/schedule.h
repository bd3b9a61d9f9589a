// Learning-rate schedules: a factor of the base rate as a pure function of the step. No state, so
// resuming needs none. The same values as transformers.get_scheduler of the same name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace hone {

struct ScheduleOptions {
  std::string type = "linear";  // linear | cosine | constant | constant_with_warmup | polynomial
  int64_t warmup_steps = 0, total_steps = 0;
  double power = 1.0, end_factor = 0.0;  // polynomial (end_factor = lr_end / lr)
  double cycles = 0.5;                   // cosine
};

std::function<double(int64_t step)> make_schedule(
    const ScheduleOptions& options);  // step counts from 0

}  // namespace hone
