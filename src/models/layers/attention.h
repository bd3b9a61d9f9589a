// Multi-head self-attention over packed sequences (Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>

#include "models/layers/linear.h"
#include "models/packed.h"

namespace hone {

struct AttentionNames {
  std::string query, key, value, out;  // of the four products, below the attention's own name
};

struct SelfAttentionOptions {
  int64_t hidden = 0, heads = 0;
  double dropout = 0.1;  // of the attention probabilities
  bool is_causal = false;
  AttentionNames names;
};

class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(const SelfAttentionOptions& options, int64_t layer);

  // [N, hidden] -> [N, hidden], or [R, hidden] of the given `rows` [R] int64 where they are
  // defined.
  at::Tensor forward(const at::Tensor& x, const Packed& tokens, const at::Tensor& rows);

  using torch::nn::Module::to;
  void to(at::Device device, bool non_blocking = false) override;

 private:
  SelfAttentionOptions options_;
  int64_t layer_;
  JoinedLinear query_key_value_;
  Linear out_{nullptr};
};
TORCH_MODULE(SelfAttention);

}  // namespace hone
