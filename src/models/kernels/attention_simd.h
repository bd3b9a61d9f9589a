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

struct RotaryTable {
  const float *cosine = nullptr, *sine = nullptr;  // [positions, pairs]
  int64_t pairs = 0;                               // 0: nothing is rotated
};

// What is added to scores by distance, in the order in which the pass meets distances: forward key
// less query, backward query less key.
struct DistanceBias {
  int64_t zero = 0, size = 0;  // the place of distance 0; places of a head, kLanes too many
  int64_t buckets = 0;
  const float* line = nullptr;      // [heads, size], or null like the next two
  const float* of_query = nullptr;  // [queries, heads, buckets]
  const float* of_key = nullptr;    // [keys, heads, buckets]
  const int32_t* bucket = nullptr;  // [size], for these two
  // Backward adds to them, where not null; dline [sequences, heads, size]; without dropout's scale.
  float *dline = nullptr, *dof_query = nullptr, *dof_key = nullptr;

  bool exists() const { return line != nullptr || bucket != nullptr; }
};

struct AttentionJob {
  bool is_bf16 = false;  // q, k, v, out and the gradients; log_sum_exp is fp32
  bool multiplies_bf16 =
      false;  // products on bf16 operands (REQUIRES: is_bf16), else on widened values
  bool is_causal = false;
  int64_t window = 0;  // 0: all keys
  int64_t queries = 0, heads = 0, kv_heads = 0, dim = 0;
  float scale = 1;
  RotaryTable rotary;
  DistanceBias bias;
  DropoutDecisions dropout;
  const int64_t* keys = nullptr;  // [queries], where dropout.threshold > 0
  HeadRows q, k, v;
  void* out = nullptr;  // [queries, heads, dim], read by backward
  float* log_sum_exp =
      nullptr;                 // [heads, queries] to base 2, read by backward; forward may get null
  const void* grad = nullptr;  // of out; backward only, like the rest
  void *dq = nullptr, *dk = nullptr,
       *dv = nullptr;  // like q, k and v, rows `dq_row` and `dkv_row` elements apart
  int64_t dq_row = 0, dkv_row = 0;
};

// Rows of the two streams. REQUIRES: keys, and no fewer than queries where causal or windowed.
struct AttentionUnit {
  int64_t sequence, q_begin, q_length, k_begin, k_length, kv_begin, kv_end;
};

void attention_forward(const AttentionJob& job, const AttentionUnit& unit);
void attention_backward(const AttentionJob& job, const AttentionUnit& unit);

}  // namespace hone::kernels
