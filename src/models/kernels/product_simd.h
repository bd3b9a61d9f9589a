// The inner loops of product.h: a unit is what one thread does without waiting for another.
#pragma once

#include <cstdint>

#include "models/kernels/simd.h"
#include "models/kernels/written_weight.h"

namespace hone::kernels {

constexpr int64_t kPanel = 64;          // columns of a packed right operand
constexpr int64_t kFewRows = 8;         // of fp32, whose sums registers hold: nothing is packed
constexpr int64_t kGradientRows = 480;  // rows of x and g that a weight gradient sums at a time; no
                                        // power of two, whose lines would evict each other

// out [rows, columns] = left [rows, depth] times right, + bias [columns] where there is one. Left,
// right and out are fp32, or bf16; out may be fp32 of bf16.
struct ProductJob {
  bool is_bf16 = false;
  bool is_wide = false;          // out is fp32 whatever the others are
  bool multiplies_bf16 = false;  // on bf16 operands (REQUIRES: is_bf16), else on widened values
  int64_t rows, depth, columns;
  const void *left, *right;
  bool is_transposed;  // right is [columns, depth], else [depth, columns]
  const void* panels =
      nullptr;  // right as pack_panel lays it out, panel by panel; null: as it lies
  const float* bias;
  void* out;
  const WrittenWeight* written = nullptr;  // `right`, where it does not lie in memory
};

// Some rows of one panel of columns.
struct ProductUnit {
  int64_t column, row_begin, row_end;
};

void multiply_rows(const ProductJob& job, const ProductUnit& unit);
// Lays the panel of `right` that begins at this column out as multiply_rows reads it: to the place
// that it has among `panels`, of packed_values(job) values in all.
void pack_panel(const ProductJob& job, int64_t column, void* panels);
inline int64_t packed_values(const ProductJob& job) {
  return padded(job.depth) * padded(job.columns);
}
// The same bits for all rows of columns begin .. end, of fp32, where there are kFewRows at most and
// `right` is transposed and lies in memory: it is read once.
void multiply_few_rows(const ProductJob& job, int64_t begin, int64_t end);

// result [out, in] = gradᵀ [out, rows] x [rows, in].
struct WeightGradientJob {
  int64_t rows, out, in;
  const Bf16 *grad, *x;
  Bf16* panels;  // for each kGradientRows of rows, x's columns in panels of [that many padded / 2,
                 // width, 2]
  float* result;
  bool adds = false;  // to what `result` holds
};

constexpr int64_t padded_gradient_rows(int64_t rows) { return (rows + 31) / 32 * 32; }

void pack_input(const WeightGradientJob& job, int64_t column);  // the panel that begins there
// Of the result the rows of one panel of grad's columns, which `unit` calls columns; of its columns
// the panels that begin in `unit`'s rows.
void multiply_gradient(const WeightGradientJob& job, const ProductUnit& unit);

}  // namespace hone::kernels
