// The inner loops of variable-length attention: one unit is one sequence and a range of its
// key/value heads.
#pragma once

#include <cstdint>

#include "models/kernels/dropout_decisions.h"
#include "models/kernels/simd.h"

namespace hone::kernels {

// Rows of one head, `row` and `head` elements apart.
struct HeadRows {
  const void* data = nullptr;
  int64_t row = 0, head = 0;
};

struct AttentionJob {
  bool is_bf16 = false;  // q, k, v, out and the gradients; log_sum_exp is fp32
  bool multiplies_bf16 =
      false;  // products on bf16 operands (REQUIRES: is_bf16), else on widened values
  bool is_causal = false;
  int64_t tokens = 0, heads = 0, kv_heads = 0, dim = 0;
  float scale = 1;
  DropoutDecisions dropout;
  const int64_t* keys = nullptr;  // [tokens], where dropout.threshold > 0
  HeadRows q, k, v;
  void* out = nullptr;  // [tokens, heads, dim], read by backward
  float* log_sum_exp =
      nullptr;                 // [heads, tokens] to base 2, read by backward; forward may get null
  const void* grad = nullptr;  // of out; backward only, like the rest
  void *dq = nullptr, *dk = nullptr,
       *dv =
           nullptr;  // [tokens, heads or kv_heads, dim], rows `dq_row` and `dkv_row` elements apart
  int64_t dq_row = 0, dkv_row = 0;
};

struct AttentionUnit {
  int64_t begin, length, kv_begin, kv_end;
};

void attention_forward(const AttentionJob& job, const AttentionUnit& unit);
void attention_backward(const AttentionJob& job, const AttentionUnit& unit);

}  // namespace hone::kernels
