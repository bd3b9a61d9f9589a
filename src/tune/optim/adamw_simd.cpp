#include "tune/optim/adamw_simd.h"

#include <cmath>

#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tune/optim/adamw_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

Bf16* shadow_at(const AdamWSlice& slice, int64_t i) {
  return reinterpret_cast<Bf16*>(slice.shadow) + i;
}

HWY_INLINE void store_value(const AdamWSlice& slice, int64_t i, int64_t n, VF value) {
  store_n(value, slice.value + i, n);
  if (slice.shadow != nullptr) store_n(value, shadow_at(slice, i), n);
}

// The order of operations is torch.optim.AdamW's: decay, moments, then the step.
void update_any(const AdamWStep& step, const AdamWSlice& slice) {
  const F d;
  const VF scale = hn::Set(d, step.gradient_scale), decay = hn::Set(d, step.decay),
           weight1 = hn::Set(d, step.one_minus_beta1);
  const VF beta2 = hn::Set(d, step.beta2), weight2 = hn::Set(d, step.one_minus_beta2),
           size = hn::Set(d, step.step_size);
  const VF root = hn::Set(d, step.inverse_root), eps = hn::Set(d, step.eps);
  for (int64_t i = 0; i < slice.count; i += lanes()) {
    const int64_t n = HWY_MIN(lanes(), slice.count - i);
    const VF g =
        slice.gradient == nullptr ? hn::Zero(d) : hn::Mul(load_n(slice.gradient + i, n), scale);
    const VF before = load_n(slice.exp_avg + i, n);
    const VF m = hn::MulAdd(weight1, hn::Sub(g, before), before);
    const VF v =
        hn::MulAdd(hn::Mul(weight2, g), g, hn::Mul(beta2, load_n(slice.exp_avg_sq + i, n)));
    const VF denominator = hn::MulAdd(hn::Sqrt(v), root, eps);
    const VF value = hn::Mul(load_n(slice.value + i, n), decay);
    store_n(m, slice.exp_avg + i, n);
    store_n(v, slice.exp_avg_sq + i, n);
    store_value(slice, i, n, hn::NegMulAdd(size, hn::Div(m, denominator), value));
  }
}

// sqrt(v) shrinks by sqrt(beta2) a step, so the root is taken once; the quotient by an
// approximation and one step of Newton.
void replay_any(const AdamWStep* steps, const double* log_decay, int64_t count,
                const AdamWSlice& slice) {
  const F d;
  const float root_beta2 = std::sqrt(steps[0].beta2);
  const VF beta1 = hn::Set(d, steps[0].beta1), shrink = hn::Set(d, root_beta2),
           eps = hn::Set(d, steps[0].eps), two = hn::Set(d, 2.0f);
  // The sum of all later updates is below about ten times the present one: 2^-30 of the value
  // leaves the rest below half a unit.
  const VF negligible = hn::Set(d, 0x1p-30f), tiny = hn::Set(d, 1e-20f);
  for (int64_t i = 0; i < slice.count; i += lanes()) {
    const int64_t n = HWY_MIN(lanes(), slice.count - i);
    VF value = load_n(slice.value + i, n), m = load_n(slice.exp_avg + i, n),
       root = hn::Sqrt(load_n(slice.exp_avg_sq + i, n));
    int64_t s = 0;
    for (; s < count; ++s) {
      m = hn::Mul(m, beta1);
      root = hn::Mul(root, shrink);
      const VF denominator = hn::MulAdd(root, hn::Set(d, steps[s].inverse_root), eps);
      VF inverse = hn::ApproximateReciprocal(denominator);
      inverse = hn::Mul(inverse, hn::NegMulAdd(denominator, inverse, two));
      const VF update = hn::Mul(hn::Mul(m, inverse), hn::Set(d, steps[s].step_size));
      value = hn::MulSub(value, hn::Set(d, steps[s].decay), update);
      const auto matters =
          hn::Gt(hn::Abs(update), hn::Max(hn::Mul(hn::Abs(value), negligible), tiny));
      if (HWY_UNLIKELY(hn::AllFalse(d, matters))) {
        ++s;
        break;
      }
    }
    const double rest = static_cast<double>(count - s);
    if (rest > 0) {
      value =
          hn::Mul(value, hn::Set(d, static_cast<float>(std::exp(log_decay[count] - log_decay[s]))));
      m = hn::Mul(
          m, hn::Set(d, static_cast<float>(std::pow(static_cast<double>(steps[0].beta1), rest))));
      root = hn::Mul(
          root, hn::Set(d, static_cast<float>(std::pow(static_cast<double>(root_beta2), rest))));
    }
    store_n(m, slice.exp_avg + i, n);
    store_n(hn::Mul(root, root), slice.exp_avg_sq + i, n);
    store_value(slice, i, n, value);
  }
}

void scale_any(float factor, const AdamWSlice& slice) {
  for (int64_t i = 0; i < slice.count; i += lanes()) {
    const int64_t n = HWY_MIN(lanes(), slice.count - i);
    store_value(slice, i, n, hn::Mul(load_n(slice.value + i, n), hn::Set(F(), factor)));
  }
}

// In double: squares of fp32 can neither overflow nor vanish.
double sum_of_squares_any(const float* values, int64_t count) {
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<float, decltype(d)> half;
  const int64_t step = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d), odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * step <= count; i += 2 * step) {
    const auto a = hn::PromoteTo(d, hn::LoadU(half, values + i)),
               b = hn::PromoteTo(d, hn::LoadU(half, values + i + step));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double total = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < count; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone {
namespace kernels {

HWY_EXPORT(update_any);
HWY_EXPORT(replay_any);
HWY_EXPORT(scale_any);
HWY_EXPORT(sum_of_squares_any);

namespace {

void update(const AdamWStep& step, const AdamWSlice& slice) {
  HWY_DYNAMIC_DISPATCH(update_any)(step, slice);
}
void replay(const AdamWStep* steps, const double* log_decay, int64_t count,
            const AdamWSlice& slice) {
  HWY_DYNAMIC_DISPATCH(replay_any)(steps, log_decay, count, slice);
}
void scale(float factor, const AdamWSlice& slice) {
  HWY_DYNAMIC_DISPATCH(scale_any)(factor, slice);
}
double squares(const float* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares_any)(values, count);
}

}  // namespace
}  // namespace kernels

void adamw_update(const AdamWStep& step, const AdamWSlice& slice) { kernels::update(step, slice); }
void adamw_replay(const AdamWStep* steps, const double* log_decay, int64_t count,
                  const AdamWSlice& slice) {
  // One step exactly as with a gradient of zeros; a few are no slower that way either.
  if (count <= 2) {
    for (int64_t s = 0; s < count; ++s) kernels::update(steps[s], slice);
    return;
  }
  kernels::replay(steps, log_decay, count, slice);
}
void scale_values(float factor, const AdamWSlice& slice) { kernels::scale(factor, slice); }
double sum_of_squares(const float* values, int64_t count) {
  return kernels::squares(values, count);
}

}  // namespace hone
#endif
