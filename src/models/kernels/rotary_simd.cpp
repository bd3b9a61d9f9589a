#include "models/kernels/rotary_simd.h"

#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/rotary_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

// A head (a, b, rest) becomes (a cos - b sin, b cos + a sin, rest).
template <class T>
void rotate_head(const RotaryRows& rows, int64_t position, const T* from, T* to) {
  const float *cosines = rows.cosine + position * rows.pairs,
              *sines = rows.sine + position * rows.pairs;
  for_columns(rows.pairs, [&](int64_t c, auto part) HWY_ATTR {
    const VF a = load(from + c, part), b = load(from + rows.pairs + c, part),
             cosine = load(cosines + c, part), sine = load(sines + c, part);
    store(hn::MulSub(a, cosine, hn::Mul(b, sine)), to + c, part);
    store(hn::MulAdd(b, cosine, hn::Mul(a, sine)), to + rows.pairs + c, part);
  });
  for (int64_t c = 2 * rows.pairs; c < rows.dim; ++c) to[c] = from[c];
}

template <class T>
void rotate_all(const RotaryRows& rows, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* from = static_cast<const T*>(rows.x) + row * rows.row;
    T* to = static_cast<T*>(rows.out) + row * rows.heads * rows.dim;
    for (int64_t head = 0; head < rows.heads; ++head)
      rotate_head(rows, rows.positions[row], from + head * rows.head, to + head * rows.dim);
  }
}

void rotate_rows_any(const RotaryRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? rotate_all<Bf16>(rows, begin, end) : rotate_all<float>(rows, begin, end);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(rotate_rows_any);

void rotate_rows(const RotaryRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(rotate_rows_any)(rows, begin, end);
}

}  // namespace hone::kernels
#endif
