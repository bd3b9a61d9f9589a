// The inner loops of whole-number products.
#pragma once

#include <cstdint>

namespace hone::kernels {

constexpr int64_t kMostInt8Rows = 8;  // that its registers hold sums of
constexpr int64_t kInt8Step = 32;     // values that are read at a time

struct Int8FewRows {
  int64_t rows, depth, stride, columns;
  const int16_t* x;      // [rows, stride], zeros beyond depth
  const int8_t* weight;  // [columns, depth]
  int32_t* sums;         // [rows, columns]
};

// Rows to be rounded by their largest absolute value.
struct Int8Rounding {
  int64_t rows, columns;
  float levels;
  bool is_bf16;
  const void* x;         // [rows, columns] fp32 or bf16
  const float* factors;  // [columns] of x, or null
  int8_t* values;        // [rows, columns], rows `stride` apart
  float* scales;         // [rows]
  int64_t stride;
  bool is_unsigned = false;  // values have 128 added, and are uint8_t's
};

// Sums of products, and what they are multiplied with to be values.
struct Int8Sums {
  int64_t rows, columns;
  const float* sums;               // [rows, columns] of int32, in its bits
  const float* row_scales;         // [rows]
  const float* column_scales;      // [columns], or null
  const float* bias;               // [columns], or null
  int64_t stride, out_stride;      // between rows of the sums, of the result
  const float* offsets = nullptr;  // [columns] of int32, taken from the sums; or null
};

// The work of int8_packed.cpp on one thread.
void round_rows_here(const Int8Rounding& of);
void scale_sums_here(const Int8Sums& of, void* out, bool is_bf16);

}  // namespace hone::kernels
