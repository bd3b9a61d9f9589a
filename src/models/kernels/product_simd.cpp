#include "models/kernels/product_simd.h"

#include "models/kernels/block_product.h"
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

void write_block(const ProductJob& job, const float* sums, int64_t row, int64_t rows,
                 int64_t column, int64_t width) {
  const float* bias = job.bias == nullptr ? nullptr : job.bias + column;
  for (int64_t i = 0; i < rows; ++i) {
    Bf16* out = job.out + (row + i) * job.columns + column;
    for (int64_t c = 0; c < width; c += lanes()) {
      const VF value = load(sums + i * width + c);
      // The quick rounding keeps the NaNs that products make, but not every one that a bias may
      // hold.
      store_upper(bias == nullptr ? rounded_bf16(value)
                                  : rounded_bf16_or_nan(hn::Add(value, load(bias + c))),
                  out + c);
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
    const int64_t count = HWY_MIN(kBlock, unit.row_end - row),
                  rows = (count + 7) / 8 * 8;  // few sizes: each is compiled once
    const Bf16* left = job.left + row * depth;
    if (rows > count) {
      copy_rows(left, depth, count, depth, last, rows, depth);
      left = last;
    }
    for (int64_t k = 0; k < depth; k += kDepth) {
      multiply(rows, width, HWY_MIN(kDepth, depth - k), left + k, depth, panel + k * width, width,
               sums, width, k > 0);
    }
    write_block(job, sums, row, count, unit.column, width);
  }
}

// Calls body(first row, rows, rows padded) for each piece of rows.
template <class Body>
void for_gradient_rows(const WeightGradientJob& job, const Body& body) {
  for (int64_t first = 0; first < job.rows; first += kGradientRows) {
    const int64_t count = HWY_MIN(kGradientRows, job.rows - first);
    body(first, count, padded_gradient_rows(count));
  }
}

void pack_input_any(const WeightGradientJob& job, int64_t column) {
  const int64_t width = HWY_MIN(kPanel, job.in - column);
  Scratch scratch(static_cast<size_t>(2 * kGradientRows * width + 64));
  Bf16* rows = scratch.take<Bf16>(kGradientRows * width);
  for_gradient_rows(job, [&](int64_t first, int64_t count, int64_t depth) {
    copy_rows(job.x + first * job.in + column, job.in, count, width, rows, depth, width);
    pair_rows(rows, depth, width, job.panels + first * job.in + column * depth);
  });
}

void multiply_gradient_any(const WeightGradientJob& job, const ProductUnit& unit) {
  const int64_t first_out = unit.column, width = HWY_MIN(kPanel, job.out - first_out),
                piece = kGradientRows * width;
  Scratch scratch(static_cast<size_t>(3 * 2 * piece + 3 * 64));
  Bf16 *rows = scratch.take<Bf16>(piece), *work = scratch.take<Bf16>(piece),
       *left = scratch.take<Bf16>(piece);
  for_gradient_rows(job, [&](int64_t first, int64_t count, int64_t depth) {
    copy_rows(job.grad + first * job.out + first_out, job.out, count, width, rows, depth, width);
    transpose_plain(rows, depth, width, left, work);
    for (int64_t column = unit.row_begin; column < unit.row_end; column += kPanel) {
      const int64_t columns = HWY_MIN(kPanel, job.in - column);
      multiply(width, columns, depth, left, depth, job.panels + first * job.in + column * depth,
               columns, job.result + first_out * job.in + column, job.in, first > 0);
    }
  });
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(multiply_rows_any);
HWY_EXPORT(pack_input_any);
HWY_EXPORT(multiply_gradient_any);

void multiply_rows(const ProductJob& job, const ProductUnit& unit) {
  HWY_DYNAMIC_DISPATCH(multiply_rows_any)(job, unit);
}
void pack_input(const WeightGradientJob& job, int64_t column) {
  HWY_DYNAMIC_DISPATCH(pack_input_any)(job, column);
}
void multiply_gradient(const WeightGradientJob& job, const ProductUnit& unit) {
  HWY_DYNAMIC_DISPATCH(multiply_gradient_any)(job, unit);
}

}  // namespace hone::kernels
#endif
