#include "models/kernels/product_simd.h"

#include "models/kernels/attention_simd.h"
#include "models/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/product_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

constexpr int64_t kBlock = 64;    // rows of a block product
constexpr int64_t kDepth = 4096;  // of a block product: both operands of it fit a core's cache

// The unit's columns of `right` as [depth / 2, width, 2].
void pack_panel(const ProductJob& job, int64_t column, int64_t width, Bf16* panel) {
  job.is_transposed ? transpose_pairs(job.right + column * job.depth, width, job.depth, panel)
                    : pair_rows(job.right + column, job.columns, job.depth, width, panel);
}

void write_block(const ProductJob& job, const float* sums, int64_t row, int64_t rows, int64_t column, int64_t width) {
  const float* bias = job.bias == nullptr ? nullptr : job.bias + column;
  for (int64_t i = 0; i < rows; ++i) {
    Bf16* out = job.out + (row + i) * job.columns + column;
    for (int64_t c = 0; c < width; c += lanes()) {
      const VF value = load(sums + i * width + c);
      const VU rounded = rounded_bf16(bias == nullptr ? value : hn::Add(value, load(bias + c)));  // keeps the NaNs that products make
      hn::StoreU(hn::TruncateTo(U16(), hn::ShiftRight<16>(rounded)), U16(), &out[c].bits);
    }
  }
}

void multiply_rows_any(const ProductJob& job, const ProductUnit& unit) {
  const int64_t width = HWY_MIN(kPanel, job.columns - unit.column), depth = job.depth;
  Scratch scratch(static_cast<size_t>(2 * depth * (width + kBlock) + 4 * kBlock * width + 3 * 64));
  Bf16 *panel = scratch.take<Bf16>(depth * width), *last = scratch.take<Bf16>(kBlock * depth);
  float* sums = scratch.take<float>(kBlock * width);
  pack_panel(job, unit.column, width, panel);
  for (int64_t row = unit.row_begin; row < unit.row_end; row += kBlock) {
    const int64_t count = HWY_MIN(kBlock, unit.row_end - row), rows = (count + 7) / 8 * 8;  // few sizes: each is compiled once
    const Bf16* left = job.left + row * depth;
    if (rows > count) {
      copy_rows(left, depth, count, depth, last, rows, depth);
      left = last;
    }
    for (int64_t k = 0; k < depth; k += kDepth) {
      multiply(rows, width, HWY_MIN(kDepth, depth - k), left + k, depth, panel + k * width, width, sums, width, k > 0);
    }
    write_block(job, sums, row, count, unit.column, width);
  }
}

void transpose_gradient_any(const WeightGradientJob& job, int64_t first_out) {
  const int64_t width = HWY_MIN(kPanel, job.out - first_out), piece = kGradientRows * width;
  Scratch scratch(static_cast<size_t>(2 * 2 * piece + 2 * 64));
  Bf16 *rows = scratch.take<Bf16>(piece), *work = scratch.take<Bf16>(piece);
  for (int64_t first = 0; first < job.rows; first += kGradientRows) {
    const int64_t count = HWY_MIN(kGradientRows, job.rows - first), depth = padded_gradient_rows(count);
    copy_rows(job.grad + first * job.out + first_out, job.out, count, width, rows, depth, width);
    transpose_plain(rows, depth, width, job.grad_transposed + first * job.out + first_out * depth, work);
  }
}

void multiply_gradient_any(const WeightGradientJob& job, const ProductUnit& unit) {
  const int64_t width = HWY_MIN(kPanel, job.in - unit.column), piece = kGradientRows * width;
  Scratch scratch(static_cast<size_t>(2 * 2 * piece + 2 * 64));
  Bf16 *rows = scratch.take<Bf16>(piece), *panel = scratch.take<Bf16>(piece);
  for (int64_t first = 0; first < job.rows; first += kGradientRows) {
    const int64_t count = HWY_MIN(kGradientRows, job.rows - first), depth = padded_gradient_rows(count);
    copy_rows(job.x + first * job.in + unit.column, job.in, count, width, rows, depth, width);
    pair_rows(rows, depth, width, panel);
    for (int64_t out = unit.row_begin; out < unit.row_end; out += kBlock) {
      multiply(HWY_MIN(kBlock, unit.row_end - out), width, depth, job.grad_transposed + first * job.out + out * depth, depth, panel, width,
               job.result + out * job.in + unit.column, job.in, first > 0);
    }
  }
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(multiply_rows_any);
HWY_EXPORT(transpose_gradient_any);
HWY_EXPORT(multiply_gradient_any);

void multiply_rows(const ProductJob& job, const ProductUnit& unit) { HWY_DYNAMIC_DISPATCH(multiply_rows_any)(job, unit); }
void transpose_gradient(const WeightGradientJob& job, int64_t first_out) { HWY_DYNAMIC_DISPATCH(transpose_gradient_any)(job, first_out); }
void multiply_gradient(const WeightGradientJob& job, const ProductUnit& unit) { HWY_DYNAMIC_DISPATCH(multiply_gradient_any)(job, unit); }

}  // namespace hone::kernels
#endif
