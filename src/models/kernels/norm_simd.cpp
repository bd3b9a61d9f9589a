#include "models/kernels/norm_simd.h"

#include <cmath>

#include "models/kernels/scratch.h"
#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/norm_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/philox-inl.h"
#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

struct RowScratch {
  float* sum;     // [columns], padded
  uint8_t* mask;  // of mask_row

  explicit RowScratch(int64_t columns) {
    const int64_t mask_size = mask_capacity((columns + 127) / 128 * 128);
    Scratch scratch(Scratch::rounded(static_cast<size_t>(padded(columns)) * sizeof(float)) +
                    Scratch::rounded(static_cast<size_t>(mask_size)));
    sum = scratch.take<float>(padded(columns));
    mask = scratch.take<uint8_t>(mask_size);
  }
};

// residual + dropout(x) of one row into `sum`; returns the total.
template <class T, bool kDrops, bool kAdds>
float add_row(const NormRows& rows, int64_t row, const RowScratch& scratch) {
  const F d;
  const T* x = static_cast<const T*>(rows.x) + row * rows.columns;
  const T* residual = static_cast<const T*>(rows.residual) + (kAdds ? row * rows.columns : 0);
  if constexpr (kDrops) mask_row(rows.dropout, rows.keys[row], rows.columns, scratch.mask);
  const VF scale = hn::Set(d, rows.dropout.scale);
  VF total = hn::Zero(d);
  for_columns(rows.columns, [&](int64_t c, auto part) HWY_ATTR {
    VF value = load(x + c, part);
    if constexpr (kDrops) value = keep_where(value, scratch.mask + mask_offset(c));
    if constexpr (kAdds) {
      value = hn::MulAdd(value, scale, load(residual + c, part));
    } else if constexpr (kDrops) {
      value = hn::Mul(value, scale);
    }
    store(value, scratch.sum + c);
    total = hn::Add(total, value);
  });
  return sum(total);
}

template <class T>
float add_row(const NormRows& rows, int64_t row, const RowScratch& scratch) {
  const bool adds = rows.residual != nullptr;
  if (rows.dropout.threshold > 0)
    return adds ? add_row<T, true, true>(rows, row, scratch)
                : add_row<T, true, false>(rows, row, scratch);
  return adds ? add_row<T, false, true>(rows, row, scratch)
              : add_row<T, false, false>(rows, row, scratch);
}

float sum_of_squares(const float* values, int64_t columns, float mean) {
  const VF centre = hn::Set(F(), mean);
  VF total = hn::Zero(F());
  for_columns(columns, [&](int64_t c, auto part) HWY_ATTR {
    const VF value = first_of(hn::Sub(load(values + c), centre), part);
    total = hn::MulAdd(value, value, total);
  });
  return sum(total);
}

template <class T>
void forward(const NormRows& rows, int64_t begin, int64_t end) {
  const F d;
  const int64_t columns = rows.columns;
  const RowScratch scratch(columns);
  for (int64_t row = begin; row < end; ++row) {
    const float total = add_row<T>(rows, row, scratch);
    const float mean = rows.centred ? total / static_cast<float>(columns) : 0;
    const float rstd =
        1 / std::sqrt(sum_of_squares(scratch.sum, columns, mean) / static_cast<float>(columns) +
                      rows.eps);
    if (rows.statistics != nullptr) {
      rows.statistics[2 * row] = mean;
      rows.statistics[2 * row + 1] = rstd;
    }
    T* out = static_cast<T*>(rows.out) + row * columns;
    const VF scale = hn::Set(d, rstd), centre = hn::Set(d, mean);
    for_columns(columns, [&](int64_t c, auto part) HWY_ATTR {
      const VF normal = hn::Mul(hn::Sub(load(scratch.sum + c), centre), scale),
               weight = load(rows.weight + c, part);
      store(rows.bias == nullptr ? hn::Mul(normal, weight)
                                 : hn::MulAdd(normal, weight, load(rows.bias + c, part)),
            out + c, part);
    });
  }
}

struct Means {
  float of_gradient, of_product;  // mean(dy w) and mean(dy w x^)
};

// Turns `sum` into x^ = (sum - mean) rstd and adds this row to dweight and dbias.
template <class T>
Means backward_sums(const NormRows& rows, int64_t row, const RowScratch& scratch, float* dweight,
                    float* dbias) {
  const F d;
  const T* grad = static_cast<const T*>(rows.grad) + row * rows.columns;
  const VF centre = hn::Set(d, rows.statistics[2 * row]),
           scale = hn::Set(d, rows.statistics[2 * row + 1]);
  VF gradients = hn::Zero(d), products = hn::Zero(d);
  for_columns(rows.columns, [&](int64_t c, auto part) HWY_ATTR {
    const VF normal = hn::Mul(hn::Sub(load(scratch.sum + c), centre), scale);
    const VF dy = load(grad + c, part);  // zero beyond the row
    const VF g = hn::Mul(dy, load(rows.weight + c, part));
    store(normal, scratch.sum + c);
    store(hn::MulAdd(dy, normal, load(dweight + c)), dweight + c);
    store(hn::Add(dy, load(dbias + c)), dbias + c);
    gradients = hn::Add(gradients, g);
    products = hn::MulAdd(g, normal, products);
  });
  const float count = static_cast<float>(rows.columns);
  return {rows.centred ? sum(gradients) / count : 0, sum(products) / count};
}

// d sum = rstd (dy w - mean(dy w) - x^ mean(dy w x^)).
template <class T, bool kDrops, bool kAdds>
void backward_row(const NormRows& rows, int64_t row, const RowScratch& scratch,
                  const Means& means) {
  const F d;
  const T* grad = static_cast<const T*>(rows.grad) + row * rows.columns;
  T* dx = static_cast<T*>(rows.dx) + row * rows.columns;
  T* dresidual = static_cast<T*>(rows.dresidual) + (kAdds ? row * rows.columns : 0);
  const VF rstd = hn::Set(d, rows.statistics[2 * row + 1]),
           keep_scale = hn::Set(d, rows.dropout.scale);
  const VF of_gradient = hn::Set(d, means.of_gradient), of_product = hn::Set(d, means.of_product);
  for_columns(rows.columns, [&](int64_t c, auto part) HWY_ATTR {
    const VF g = hn::MulSub(load(grad + c, part), load(rows.weight + c, part), of_gradient);
    VF dsum = hn::Mul(hn::NegMulAdd(load(scratch.sum + c), of_product, g), rstd);
    if constexpr (kAdds) store(dsum, dresidual + c, part);
    if constexpr (kDrops)
      dsum = hn::Mul(keep_where(dsum, scratch.mask + mask_offset(c)), keep_scale);
    store(dsum, dx + c, part);
  });
}

template <class T>
void backward_row(const NormRows& rows, int64_t row, const RowScratch& scratch,
                  const Means& means) {
  const bool adds = rows.dresidual != nullptr && rows.dresidual != rows.dx;
  if (rows.dropout.threshold > 0) {
    adds ? backward_row<T, true, true>(rows, row, scratch, means)
         : backward_row<T, true, false>(rows, row, scratch, means);
  } else {
    adds ? backward_row<T, false, true>(rows, row, scratch, means)
         : backward_row<T, false, false>(rows, row, scratch, means);
  }
}

template <class T>
void backward(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  for (int64_t c = 0; c < padded(rows.columns); ++c) dweight[c] = dbias[c] = 0;
  const RowScratch scratch(rows.columns);
  for (int64_t row = begin; row < end; ++row) {
    add_row<T>(rows, row, scratch);
    backward_row<T>(rows, row, scratch, backward_sums<T>(rows, row, scratch, dweight, dbias));
  }
}

void forward_any(const NormRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? forward<Bf16>(rows, begin, end) : forward<float>(rows, begin, end);
}
void backward_any(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  rows.is_bf16 ? backward<Bf16>(rows, begin, end, dweight, dbias)
               : backward<float>(rows, begin, end, dweight, dbias);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(forward_any);
HWY_EXPORT(backward_any);

void norm_forward(const NormRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_any)(rows, begin, end);
}
void norm_backward(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  HWY_DYNAMIC_DISPATCH(backward_any)(rows, begin, end, dweight, dbias);
}

}  // namespace hone::kernels
#endif
