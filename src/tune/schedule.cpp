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

// Up and down again by halves of a cosine (Smith and Topin 2019, https://arxiv.org/abs/1708.07120),
// with the values of torch.optim.lr_scheduler.OneCycleLR: it rises from 1/25 in three tenths of the
// steps and ends at 1/250,000.
double one_cycle(const ScheduleOptions& o, int64_t step) {
  constexpr double kFirst = 1.0 / 25, kLast = kFirst / 1e4, kRise = 0.3;
  const auto last = static_cast<double>(o.total_steps - 1), at = static_cast<double>(step),
             top = kRise * static_cast<double>(o.total_steps) - 1;
  const auto between = [](double from, double to, double share) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * std::clamp(share, 0.0, 1.0)));
  };
  return at < top ? between(kFirst, 1, at / top)
                  : between(1, kLast, last > top ? (at - top) / (last - top) : 1);
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
                                                 {"one_cycle", one_cycle, /*has_warmup=*/false},
                                                 {"constant", constant, /*has_warmup=*/false},
                                                 {"constant_with_warmup", constant},
                                                 {"polynomial", polynomial},
                                                 // Falls by what evaluations show (RunProgress).
                                                 {kReduceOnPlateau, constant},
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
