// The inner loop of whole-number products of few rows.
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

}  // namespace hone::kernels
