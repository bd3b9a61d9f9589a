// Attention of a target's tokens to a source's states (Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762): two packed streams, of which nothing is padded.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <utility>

#include "models/layers/attention.h"
#include "models/layers/source.h"

namespace hone {

struct CrossAttentionOptions {
  int64_t hidden = 0;
  Heads heads;
  bool has_bias = true, key_has_bias = true;  // see SelfAttentionOptions
  double dropout = 0.1;                       // of the attention probabilities
  double scale = 0;                           // of the scores; 0: 1 / sqrt(dim)
  AttentionNames names;                       // queries, keys and values apart
};

class CrossAttentionImpl : public AttentionLayer {
 public:
  explicit CrossAttentionImpl(const CrossAttentionOptions& options);

  // x [N, hidden] of the target. REQUIRES: rows.source().
  at::Tensor forward(const at::Tensor& x, const Rows& rows) override;

  using torch::nn::Module::to;
  void to(at::Device device, bool non_blocking = false) override;

 private:
  // Of the sources that this pass brings: [M, kv_heads, dim] each.
  std::pair<at::Tensor, at::Tensor> keys_and_values(const Source& source, int64_t layer);
  kernels::AttentionInputs read(const at::Tensor& x, const Rows& rows);

  CrossAttentionOptions options_;
  Linear query_{nullptr}, out_{nullptr};
  JoinedLinear key_value_;
};
TORCH_MODULE(CrossAttention);

}  // namespace hone
