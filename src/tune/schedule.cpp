#include "tune/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hone {
namespace {

// Steps since warm-up ended over the steps after it, as Transformers counts them.
double decayed_share(const ScheduleOptions& o, int64_t step) {
  return static_cast<double>(step - o.warmup_steps) /
         static_cast<double>(std::max<int64_t>(1, o.total_steps - o.warmup_steps));
}

double linear(const ScheduleOptions& o, int64_t step) {
  return std::max(0.0,
                  static_cast<double>(o.total_steps - step) /
                      static_cast<double>(std::max<int64_t>(1, o.total_steps - o.warmup_steps)));
}

double cosine(const ScheduleOptions& o, int64_t step) {
  return std::max(
      0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * o.cycles * 2.0 * decayed_share(o, step))));
}

double polynomial(const ScheduleOptions& o, int64_t step) {
  if (step > o.total_steps) return o.end_factor;
  return (1.0 - o.end_factor) * std::pow(1.0 - decayed_share(o, step), o.power) + o.end_factor;
}

double cosine_with_restarts(const ScheduleOptions& o, int64_t step) {
  const double share = decayed_share(o, step);
  if (share >= 1) return 0;
  return 0.5 * (1.0 + std::cos(std::numbers::pi * std::fmod(o.restarts * share, 1.0)));
}

// Without warm-up as if it had had 10,000 steps, as Transformers has it.
double inverse_sqrt(const ScheduleOptions& o, int64_t step) {
  const auto scale = static_cast<double>(o.warmup_steps > 0 ? o.warmup_steps : 10'000),
             since = static_cast<double>(step - o.warmup_steps);
  return 1.0 / std::sqrt((since + scale) / scale);
}

// Flat, then a straight fall in the last steps (Hu et al. 2024, https://arxiv.org/abs/2404.06395).
double warmup_stable_decay(const ScheduleOptions& o, int64_t step) {
  const auto falling =
      std::min<double>(std::round(o.decay_share * static_cast<double>(o.total_steps)),
                       static_cast<double>(std::max<int64_t>(0, o.total_steps - o.warmup_steps)));
  const auto left = static_cast<double>(std::max<int64_t>(0, o.total_steps - step));
  if (left == 0) return 0;
  return left >= falling ? 1 : left / falling;
}

double constant(const ScheduleOptions&, int64_t) { return 1.0; }

}  // namespace

Table<ScheduleInfo>& schedules() {
  static Table<ScheduleInfo> all("schedule", {
                                                 {"linear", linear},
                                                 {"cosine", cosine},
                                                 {"cosine_with_restarts", cosine_with_restarts},
                                                 {"inverse_sqrt", inverse_sqrt},
                                                 {"warmup_stable_decay", warmup_stable_decay},
                                                 {"constant", constant, /*has_warmup=*/false},
                                                 {"constant_with_warmup", constant},
                                                 {"polynomial", polynomial},
                                             });
  return all;
}

std::function<double(int64_t)> make_schedule(const ScheduleOptions& options) {
  const ScheduleInfo& schedule = schedules().named(options.type);
  ScheduleOptions o = options;
  if (!schedule.has_warmup) o.warmup_steps = 0;
  return [o, factor = schedule.factor](int64_t step) {
    if (step < o.warmup_steps)
      return static_cast<double>(step) / static_cast<double>(o.warmup_steps);
    return factor(o, step);
  };
}

}  // namespace hone
