// Variable-length attention over packed sequences: softmax(q k^T * scale) v within each sequence,
// none across.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

struct AttentionOptions {
  bool is_causal = false;
  double scale = 0;  // 0: 1 / sqrt(dim)
  double dropout =
      0;  // probability; decisions from (seed, site, key of the query row, head, key position)
  uint64_t seed = 0;
  uint32_t site = 0;  // which place in the network, unique per layer
  at::Tensor keys;    // [N] int64, needed where dropout > 0
};

// q [N, heads, dim], k, v [N, kv_heads, dim] (rows may be strided views), cu_seqlens [S + 1] int32
// on the CPU. Returns [N, heads, dim]. fp32 or bf16; softmax in fp32. Differentiable. Memory for
// backward: q, k, v, out and one fp32 per row and head. On a GPU: ATen's flash attention (Dao 2023,
// https://arxiv.org/abs/2307.08691) in bf16, the reference otherwise; dropout there as in
// dropout.h.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& cu_seqlens, int64_t max_len,
                     const AttentionOptions& options);
// The same of qkv [N, 3, heads, dim], whose gradient is then one tensor as well.
at::Tensor attention(const at::Tensor& qkv, const at::Tensor& cu_seqlens, int64_t max_len,
                     const AttentionOptions& options);
// The same composed of plain ATen operations: the definition that tests compare with.
at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const at::Tensor& cu_seqlens, int64_t max_len,
                               const AttentionOptions& options);

}  // namespace hone::kernels
