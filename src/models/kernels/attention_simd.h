// The inner loops of variable-length attention: one unit is one sequence and a range of its
// key/value heads; where it has few queries, a part of its keys is enough for a thread.
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
  int64_t zero = 0, size = 0;   // the place of distance 0; places of a head, kLanes too many
  const float* line = nullptr;  // [heads, size], or null
  // Backward adds to it, where not null; [sequences, heads, size]; without dropout's scale.
  float* dline = nullptr;

  bool exists() const { return line != nullptr; }
};

// Vectors of relative positions as right operands of products (see attention_positions.h), a place
// for each distance: of keys in the order of key less query, of queries of query less key.
struct PositionTable {
  int64_t zero = 0, size = 0;  // the place of distance 0; places of a head
  void* operand = nullptr;     // [heads, width, size], or null
  void* rows = nullptr;        // [heads, size, width], for backward
  // Backward adds to it, where not null; [slots, heads, width, size] fp32; without scales.
  float* gradient = nullptr;

  bool exists() const { return operand != nullptr; }
};

struct AttentionJob {
  bool is_bf16 = false;  // q, k, v, out and the gradients; log_sum_exp is fp32
  bool multiplies_bf16 =
      false;  // products on bf16 operands (REQUIRES: is_bf16), else on widened values
  bool is_causal = false;
  int64_t window = 0;  // 0: all keys
  int64_t queries = 0, heads = 0, kv_heads = 0, dim = 0;
  float scale = 1;
  float soft_cap = 0;  // 0: none
  RotaryTable rotary;
  DistanceBias bias;
  PositionTable position_keys, position_queries;
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
  int64_t slot = 0;  // of the gradients of positions
};

// Of a sequence with few queries and one key/value head: what its query heads make of some of the
// keys. Rows are head by head, each with the queries in their order. REQUIRES: no dropout, no
// positions, nothing rotated, biases of one query head alone, at most kMostFewRows rows.
struct AttentionPart {
  AttentionUnit unit;
  int64_t begin, end;  // keys; seen by at least one query
  float* result;       // few_floats(…): sums [rows, width], then each row's maximum and total
};
constexpr int64_t kMostFewRows = 64;
constexpr int64_t few_floats(int64_t rows, int64_t dim) { return rows * (padded(dim) + 2); }

void attention_forward(const AttentionJob& job, const AttentionUnit& unit);
void attention_part(const AttentionJob& job, const AttentionPart& part);
// Writes the rows of a unit whose keys were shared out to `count` parts in their order.
void attention_join(const AttentionJob& job, const AttentionPart* parts, int64_t count);
void attention_backward(const AttentionJob& job, const AttentionUnit& unit);
// A head's operands of a table, out of rows of buckets, of which places 0 to count - 1 have one.
void attention_pack_positions(const AttentionJob& job, const HeadRows& from, const int64_t* bucket,
                              int64_t count, int64_t head, const PositionTable& to);

}  // namespace hone::kernels
