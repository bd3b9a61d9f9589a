// Variable-length attention over packed sequences: softmax(q k^T * scale + biases) v within each
// sequence, none across (tiles as in FlashAttention, Dao et al. 2022,
// https://arxiv.org/abs/2205.14135).
//
// Queries and keys are two streams of sequences of their own lengths. Where they differ, the last
// query stands at the last key, as with keys of a cache or a prefix before the queries: query i of
// a sequence has position i + (its keys - its queries). Causal, window, rotary positions and
// distances go by these positions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "models/kernels/rotary.h"

namespace hone::kernels {

// Sequences laid end to end: sequence s is the rows ends[s] .. ends[s + 1], or the first lengths[s]
// of them where these have room to grow.
struct Stretches {
  at::Tensor ends = {};     // [S + 1] int32 on the CPU, from 0 to the number of rows (cu_seqlens)
  int64_t longest = 0;      // tokens of the longest sequence
  at::Tensor lengths = {};  // [S] int32 on the CPU: rows in use; undefined: all. Of keys alone
  at::Tensor placed = {};   // `ends` where the rows are, if that is elsewhere; undefined: not yet
};

// Distance of a key from a query (its position less the query's: before it below 0) to a bucket;
// each family's own map.
using BucketOf = std::function<int64_t(int64_t distance)>;

struct AttentionInputs {
  // Either these three (rows and heads may be strided views); heads is a multiple of kv_heads,
  // query head h reads key/value head h / (heads / kv_heads) (Ainslie et al. 2023,
  // https://arxiv.org/abs/2305.13245).
  at::Tensor q = {}, k = {}, v = {};  // [Nq, heads, dim], [Nk, kv_heads, dim], [Nk, kv_heads, dim]
  // Or one product of all, whose gradient is then one tensor as well.
  at::Tensor joined = {};  // [N, heads + 2 * kv_heads, dim]: queries, keys, values
  int64_t kv_heads = 0;    // of `joined`; 0: as many as query heads

  Stretches of_q = {}, of_k = {};  // the same S; of_k without ends: as of_q
  Rotary rotary = {};  // turns q and k, if defined; a row for each position of the longest keys

  // What depends on the bucket of the distance; each may be undefined; differentiable.
  BucketOf bucket_of = {};  // needed by each of them
  // [heads, buckets], added to the scaled scores, fp32 or of q's type: learned (T5, Raffel et al.
  // 2019, https://arxiv.org/abs/1910.10683; MPNet) or slopes times distances (ALiBi, Press et al.
  // 2021, https://arxiv.org/abs/2108.12409).
  at::Tensor bias = {};
  // [buckets, heads, dim] of q's type: query i and key j at a distance of bucket b add q_i
  // position_keys[b] and k_j position_queries[b] to q_i k_j before it is scaled (DeBERTa, He et al.
  // 2020, https://arxiv.org/abs/2006.03654).
  at::Tensor position_keys = {}, position_queries = {};
};

struct AttentionOptions {
  bool is_causal = false;  // keys after the query are not seen
  // Keys within this distance only, before and after; 0: all (Longformer, Beltagy et al. 2020,
  // https://arxiv.org/abs/2004.05150; ModernBERT, Warner et al. 2024,
  // https://arxiv.org/abs/2412.13663). Causal, a query sees window + 1 keys with its own:
  // Transformers' "sliding_window" of causal models counts these, and is one more.
  int64_t window = 0;
  // Scaled scores, biases added, become soft_cap * tanh(score / soft_cap); 0: they stay (Gemma 2,
  // https://arxiv.org/abs/2408.00118).
  double soft_cap = 0;
  double scale = 0;  // 0: 1 / sqrt(dim)
  // Probability; decisions from (seed, site, key of the query row, head, key position).
  double dropout = 0;
  uint64_t seed = 0;
  uint32_t site = 0;     // which place in the network, unique per layer
  at::Tensor keys = {};  // [Nq] int64, needed where dropout > 0
  // On a GPU, whose kernels draw themselves: tells batches of one seed apart. Decisions there are
  // its generator's, begun from (seed, drawn, site): the same again for the same batch, but not for
  // its samples in other batches.
  uint64_t drawn = 0;
  // On a GPU: the pass is recorded. Its generator was begun once for the whole pass, and what can
  // only be composed by lengths that the host knows throws CannotReplay.
  bool is_replayed = false;
};

// Returns [Nq, heads, dim]. fp32 or bf16, any dim; softmax in fp32. Differentiable. Memory for
// backward: the inputs, the result and one fp32 per row and head; no scores.
//
// Errors, in words: queries without keys; fewer keys than queries where causal, within a window or
// rotated; a bucket that is not there; shapes and types that do not fit each other. What a model's
// configuration may ask for in vain is an Error(kModel): query heads that do not share the
// key/value heads evenly, more than 1,024 of them, more rotated columns than there are.
//
// On a GPU: ATen's flash attention (Dao 2023, https://arxiv.org/abs/2307.08691) in bf16, its
// memory-efficient attention (Rabe and Staats 2021, https://arxiv.org/abs/2112.05682) in fp32,
// where these know all that is asked for; else the sequences padded to the longest
// (attention_padded.h). Dropout's decisions there are the generator's (AttentionOptions::drawn).
at::Tensor attention(const AttentionInputs& inputs, const AttentionOptions& options);
// The same composed of plain ATen operations: the definition that tests compare with.
at::Tensor attention_reference(const AttentionInputs& inputs, const AttentionOptions& options);

}  // namespace hone::kernels
