// What attention's kernel, its definition and the way through a GPU read alike: the streams, what
// is refused, the buckets of distances.
#pragma once

#include "models/kernels/attention.h"

namespace hone::kernels {

struct AttentionStreams {
  at::Tensor q, k, v;
};

// Of [N, heads + 2 * kv_heads, dim].
AttentionStreams attention_parts(const at::Tensor& joined, int64_t kv_heads);
AttentionStreams attention_streams(const AttentionInputs& inputs);
const Stretches& attention_keys(
    const AttentionInputs& inputs);  // of_k, or where there is none of_q
// Rows of a sequence that are in use.
struct SequenceRows {
  int64_t begin, length;
};
SequenceRows rows_of_sequence(const Stretches& of, int64_t sequence);

double attention_scale(const AttentionOptions& options, int64_t dim);

// Throws where attention.h says so.
void check_attention(const AttentionInputs& inputs, const AttentionStreams& x,
                     const AttentionOptions& options);

bool has_positions(const AttentionInputs& inputs);         // position keys or queries
bool has_distances(const AttentionInputs& inputs);         // anything that depends on distances
int64_t attention_buckets(const AttentionInputs& inputs);  // 0 where nothing depends on them

// Distances that occur: from the first key seen by the last query to the last key seen by the
// first.
struct Distances {
  int64_t first, count;
};
Distances attention_distances(const AttentionInputs& inputs);
// Buckets of these distances, int64 on the CPU.
at::Tensor bucket_table(const AttentionInputs& inputs);

}  // namespace hone::kernels
