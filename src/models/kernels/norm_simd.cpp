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
  uint8_t* keep;  // bytes of keep_row
};

RowScratch row_scratch(int64_t columns) {
  const int64_t groups = (columns + 127) / 128;
  Scratch scratch(Scratch::rounded(static_cast<size_t>(padded(columns)) * sizeof(float)) + Scratch::rounded(static_cast<size_t>(groups) * 16));
  float* sum = scratch.take<float>(padded(columns));
  return {sum, scratch.take<uint8_t>(groups * 16)};
}

// residual + dropout(x) of one row into `sum`; returns the total.
template <class T>
float add_row(const NormRows& rows, int64_t row, const RowScratch& scratch) {
  const F d;
  const int64_t columns = rows.columns, step = lanes();
  const T* x = static_cast<const T*>(rows.x) + row * columns;
  const T* residual = rows.residual == nullptr ? nullptr : static_cast<const T*>(rows.residual) + row * columns;
  const bool drops = rows.dropout.threshold > 0;
  if (drops) keep_row(rows.dropout, rows.keys[row], columns, scratch.keep);
  const VF scale = hn::Set(d, rows.dropout.scale);
  VF total = hn::Zero(d);
  for (int64_t c = 0; c < columns; c += step) {
    const int64_t n = HWY_MIN(step, columns - c);
    VF value = load_n(x + c, n);
    if (drops) value = hn::Mul(keep_column(value, scratch.keep, c), scale);
    if (residual != nullptr) value = hn::Add(value, load_n(residual + c, n));
    store(value, scratch.sum + c);
    total = hn::Add(total, value);
  }
  return sum(total);
}

float sum_of_squares(const float* values, int64_t columns, float mean) {
  const F d;
  const VF centre = hn::Set(d, mean);
  VF total = hn::Zero(d);
  for (int64_t c = 0; c < columns; c += lanes()) {
    const VF value = first_n(hn::Sub(load(values + c), centre), HWY_MIN(lanes(), columns - c));
    total = hn::MulAdd(value, value, total);
  }
  return sum(total);
}

template <class T>
void forward(const NormRows& rows, int64_t begin, int64_t end) {
  const F d;
  const int64_t columns = rows.columns, step = lanes();
  const RowScratch scratch = row_scratch(columns);
  for (int64_t row = begin; row < end; ++row) {
    const float total = add_row<T>(rows, row, scratch);
    const float mean = rows.centred ? total / static_cast<float>(columns) : 0;
    const float rstd = 1 / std::sqrt(sum_of_squares(scratch.sum, columns, mean) / static_cast<float>(columns) + rows.eps);
    if (rows.statistics != nullptr) {
      rows.statistics[2 * row] = mean;
      rows.statistics[2 * row + 1] = rstd;
    }
    T* out = static_cast<T*>(rows.out) + row * columns;
    const VF scale = hn::Set(d, rstd), centre = hn::Set(d, mean);
    for (int64_t c = 0; c < columns; c += step) {
      const int64_t n = HWY_MIN(step, columns - c);
      const VF normal = hn::Mul(hn::Sub(load(scratch.sum + c), centre), scale);
      const VF offset = rows.bias == nullptr ? hn::Zero(d) : load_n(rows.bias + c, n);
      store_n(hn::MulAdd(normal, load_n(rows.weight + c, n), offset), out + c, n);
    }
  }
}

struct Means {
  float of_gradient, of_product;  // mean(dy w) and mean(dy w x^)
};

// Turns `sum` into x^ = (sum - mean) rstd and adds this row to dweight and dbias.
template <class T>
Means backward_sums(const NormRows& rows, int64_t row, const RowScratch& scratch, float* dweight, float* dbias) {
  const F d;
  const int64_t columns = rows.columns, step = lanes();
  const T* grad = static_cast<const T*>(rows.grad) + row * columns;
  const VF centre = hn::Set(d, rows.statistics[2 * row]), scale = hn::Set(d, rows.statistics[2 * row + 1]);
  VF gradients = hn::Zero(d), products = hn::Zero(d);
  for (int64_t c = 0; c < columns; c += step) {
    const int64_t n = HWY_MIN(step, columns - c);
    const VF normal = hn::Mul(hn::Sub(load(scratch.sum + c), centre), scale);
    const VF dy = load_n(grad + c, n);  // zero beyond the row
    const VF g = hn::Mul(dy, load_n(rows.weight + c, n));
    store(normal, scratch.sum + c);
    store(hn::MulAdd(dy, normal, load(dweight + c)), dweight + c);
    store(hn::Add(dy, load(dbias + c)), dbias + c);
    gradients = hn::Add(gradients, g);
    products = hn::MulAdd(g, normal, products);
  }
  const float count = static_cast<float>(columns);
  return {rows.centred ? sum(gradients) / count : 0, sum(products) / count};
}

// d sum = rstd (dy w - mean(dy w) - x^ mean(dy w x^)).
template <class T>
void backward_row(const NormRows& rows, int64_t row, const RowScratch& scratch, const Means& means) {
  const F d;
  const int64_t columns = rows.columns, step = lanes();
  const T* grad = static_cast<const T*>(rows.grad) + row * columns;
  T* dx = static_cast<T*>(rows.dx) + row * columns;
  T* dresidual = rows.dresidual == nullptr || rows.dresidual == rows.dx ? nullptr : static_cast<T*>(rows.dresidual) + row * columns;
  const bool drops = rows.dropout.threshold > 0;
  const VF rstd = hn::Set(d, rows.statistics[2 * row + 1]), keep_scale = hn::Set(d, rows.dropout.scale);
  const VF of_gradient = hn::Set(d, means.of_gradient), of_product = hn::Set(d, means.of_product);
  for (int64_t c = 0; c < columns; c += step) {
    const int64_t n = HWY_MIN(step, columns - c);
    const VF g = hn::MulSub(load_n(grad + c, n), load_n(rows.weight + c, n), of_gradient);
    VF dsum = hn::Mul(hn::NegMulAdd(load(scratch.sum + c), of_product, g), rstd);
    if (dresidual != nullptr) store_n(dsum, dresidual + c, n);
    if (drops) dsum = hn::Mul(keep_column(dsum, scratch.keep, c), keep_scale);
    store_n(dsum, dx + c, n);
  }
}

template <class T>
void backward(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  for (int64_t c = 0; c < padded(rows.columns); ++c) dweight[c] = dbias[c] = 0;
  const RowScratch scratch = row_scratch(rows.columns);
  for (int64_t row = begin; row < end; ++row) {
    add_row<T>(rows, row, scratch);
    backward_row<T>(rows, row, scratch, backward_sums<T>(rows, row, scratch, dweight, dbias));
  }
}

void forward_any(const NormRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? forward<Bf16>(rows, begin, end) : forward<float>(rows, begin, end);
}
void backward_any(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  rows.is_bf16 ? backward<Bf16>(rows, begin, end, dweight, dbias) : backward<float>(rows, begin, end, dweight, dbias);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(forward_any);
HWY_EXPORT(backward_any);

void norm_forward(const NormRows& rows, int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(forward_any)(rows, begin, end); }
void norm_backward(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias) {
  HWY_DYNAMIC_DISPATCH(backward_any)(rows, begin, end, dweight, dbias);
}

}  // namespace hone::kernels
#endif
