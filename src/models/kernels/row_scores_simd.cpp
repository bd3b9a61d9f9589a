#include <cmath>
#include <limits>

#include "models/kernels/row_scores.h"
#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/row_scores_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

constexpr float kInfinite = std::numeric_limits<float>::infinity();

float largest_score_any(const float* x, int64_t n) {
  const F d;
  const VF lowest = hn::Set(d, -kInfinite);
  VF largest = lowest;
  auto is_number = hn::Eq(lowest, lowest);
  for (int64_t c = 0; c < n; c += lanes()) {
    const int64_t count = HWY_MIN(lanes(), n - c);
    VF part = load_n(x + c, count);
    if (count < lanes())
      part = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(count)), part, lowest);
    is_number = hn::And(is_number, hn::Lt(part, hn::Set(d, kInfinite)));  // of NaN nothing is
    largest = hn::Max(largest, part);
  }
  return hn::AllTrue(d, is_number) ? maximum(largest) : std::numeric_limits<float>::quiet_NaN();
}

int64_t next_above_any(const float* x, int64_t begin, int64_t n, float bound) {
  const F d;
  const VF limit = hn::Set(d, bound);
  int64_t c = begin;
  for (; c + lanes() <= n; c += lanes()) {
    const intptr_t lane = hn::FindFirstTrue(d, hn::Gt(load(x + c), limit));
    if (lane >= 0) return c + lane;
  }
  while (c < n && !(x[c] > bound)) ++c;
  return c;
}

void log_softmax_row_any(float* x, int64_t n, float largest) {
  const F d;
  const VF shift = hn::Set(d, largest);
  VF total = hn::Zero(d);
  for_columns(n, [&](int64_t c, auto part) HWY_ATTR {
    total = hn::Add(total, first_of(exp(hn::Sub(load(x + c, part), shift)), part));
  });
  const VF log_of_sum = hn::Set(d, std::log(sum(total)));
  for_columns(n, [&](int64_t c, auto part) HWY_ATTR {
    store(hn::Sub(hn::Sub(load(x + c, part), shift), log_of_sum), x + c, part);
  });
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(largest_score_any);
HWY_EXPORT(next_above_any);
HWY_EXPORT(log_softmax_row_any);

float largest_score(const float* x, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(largest_score_any)(x, n);
}
int64_t next_above(const float* x, int64_t begin, int64_t n, float bound) {
  return HWY_DYNAMIC_DISPATCH(next_above_any)(x, begin, n, bound);
}
void log_softmax_row(float* x, int64_t n, float largest) {
  HWY_DYNAMIC_DISPATCH(log_softmax_row_any)(x, n, largest);
}

}  // namespace hone::kernels
#endif
