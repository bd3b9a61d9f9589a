// The inner loop of rotary positions on rows that have no gradient.
#pragma once

#include <cstdint>

namespace hone::kernels {

struct RotaryRows {
  bool is_bf16 = false;  // x and out
  int64_t heads = 0, dim = 0, pairs = 0;
  const void* x = nullptr;  // rows `row` and heads `head` values apart
  int64_t row = 0, head = 0;
  const int64_t* positions = nullptr;
  const float *cosine = nullptr, *sine = nullptr;  // [positions, pairs]
  void* out = nullptr;                             // [rows, heads, dim]
};

void rotate_rows(const RotaryRows& rows, int64_t begin, int64_t end);

}  // namespace hone::kernels
