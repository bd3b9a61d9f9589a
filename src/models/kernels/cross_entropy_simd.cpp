#include "models/kernels/cross_entropy_simd.h"

#include <cmath>

#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/cross_entropy_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

HWY_INLINE float value_at(const float* row, int64_t i) { return row[i]; }
HWY_INLINE float value_at(const Bf16* row, int64_t i) {
  return hn::GetLane(load_first(row + i, 1));
}

struct RowSums {
  float maximum, exponentials, values;  // sum of exp(x - maximum), sum of x
};

template <class T>
RowSums sums_of(const T* row, int64_t classes) {
  const F d;
  const VF lowest = hn::Set(d, -3.0e38f);
  VF highest = lowest, values = hn::Zero(d), exponentials = hn::Zero(d);
  for (int64_t c = 0; c < classes; c += lanes()) {
    const int64_t n = HWY_MIN(lanes(), classes - c);
    const VF x = load_n(row + c, n);
    values = hn::Add(values, x);
    highest = hn::Max(
        highest,
        n == lanes() ? x : hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n)), x, lowest));
  }
  const float top = maximum(highest);
  const VF shift = hn::Set(d, top);
  for (int64_t c = 0; c < classes; c += lanes()) {
    const int64_t n = HWY_MIN(lanes(), classes - c);
    const VF e = exp(hn::Sub(load_n(row + c, n), shift));
    exponentials = hn::Add(exponentials, n == lanes() ? e : first_n(e, n));
  }
  return {top, sum(exponentials), sum(values)};
}

// -log softmax at the target, or its mix with the mean over all classes where labels are smoothed.
template <class T>
void forward(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    rows.losses[i] = 0;
    if (rows.targets[i] == rows.ignore_index) continue;
    const T* row = static_cast<const T*>(rows.logits) + i * rows.classes;
    const RowSums sums = sums_of(row, rows.classes);
    const float log_of_sum = std::log(sums.exponentials),
                mean = sums.values / static_cast<float>(rows.classes);
    rows.log_sum_exp[i] = sums.maximum + log_of_sum;
    const float target = value_at(row, rows.targets[i]);
    // The differences first: they are small where the sums are not.
    rows.losses[i] = log_of_sum + (1 - rows.smoothing) * (sums.maximum - target) +
                     rows.smoothing * (sums.maximum - mean);
  }
}

template <class T>
void backward(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  const F d;
  const float spread = rows.smoothing / static_cast<float>(rows.classes);
  for (int64_t i = begin; i < end; ++i) {
    const bool counts = rows.targets[i] != rows.ignore_index;
    const T* row = static_cast<const T*>(rows.logits) + i * rows.classes;
    T* out = static_cast<T*>(rows.dlogits) + i * rows.classes;
    const VF shift = hn::Set(d, counts ? rows.log_sum_exp[i] : 0), grad = hn::Set(d, rows.grad),
             minus = hn::Set(d, spread);
    for (int64_t c = 0; c < rows.classes; c += lanes()) {
      const int64_t n = HWY_MIN(lanes(), rows.classes - c);
      VF gradient = hn::Zero(d);
      if (counts) {
        gradient = hn::Sub(exp(hn::Sub(load_n(row + c, n), shift)), minus);
        const int64_t lane = rows.targets[i] - c;
        if (lane >= 0 && lane < n) {
          const auto at_target = hn::Eq(hn::Iota(d, 0.0f), hn::Set(d, static_cast<float>(lane)));
          gradient =
              hn::Sub(gradient, hn::IfThenElseZero(at_target, hn::Set(d, 1 - rows.smoothing)));
        }
      }
      store_n(hn::Mul(gradient, grad), out + c, n);
    }
  }
}

template <class T>
void cap(const CappedValues& of, int64_t begin, int64_t end) {
  const F d;
  T* values = static_cast<T*>(of.values) + begin;
  const VF most = hn::Set(d, of.cap), share = hn::Set(d, 1 / of.cap);
  for_columns(end - begin, [&](int64_t c, auto part) HWY_ATTR {
    const VF x = hn::Mul(load(values + c, part), share);
    store(hn::Mul(most, hn::Tanh(d, x)), values + c, part);
  });
}

template <class T>
void cap_gradient(const CappedValues& of, int64_t begin, int64_t end) {
  const F d;
  const T* values = static_cast<const T*>(of.values) + begin;
  T* gradient = static_cast<T*>(of.gradient) + begin;
  const VF share = hn::Set(d, 1 / of.cap), one = hn::Set(d, 1.0f);
  for_columns(end - begin, [&](int64_t c, auto part) HWY_ATTR {
    const VF y = hn::Mul(load(values + c, part), share);
    const VF slope = hn::NegMulAdd(y, y, one);
    store(hn::Mul(load(gradient + c, part), slope), gradient + c, part);
  });
}

void cap_any(const CappedValues& of, int64_t begin, int64_t end) {
  of.is_bf16 ? cap<Bf16>(of, begin, end) : cap<float>(of, begin, end);
}
void cap_gradient_any(const CappedValues& of, int64_t begin, int64_t end) {
  of.is_bf16 ? cap_gradient<Bf16>(of, begin, end) : cap_gradient<float>(of, begin, end);
}

void forward_any(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? forward<Bf16>(rows, begin, end) : forward<float>(rows, begin, end);
}
void backward_any(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? backward<Bf16>(rows, begin, end) : backward<float>(rows, begin, end);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(forward_any);
HWY_EXPORT(backward_any);
HWY_EXPORT(cap_any);
HWY_EXPORT(cap_gradient_any);

void cap_forward(const CappedValues& of, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(cap_any)(of, begin, end);
}
void cap_backward(const CappedValues& of, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(cap_gradient_any)(of, begin, end);
}

void cross_entropy_forward(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_any)(rows, begin, end);
}
void cross_entropy_backward(const CrossEntropyRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_any)(rows, begin, end);
}

}  // namespace hone::kernels
#endif
