// A Transformer's block: attention, then two products with an activation between, each with
// dropout, residual and norm.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <string>

#include "models/kernels/activation.h"
#include "models/layers/attention.h"
#include "models/layers/norm.h"

namespace hone {

// A family's own names below a block; dotted where its checkpoints nest them.
struct BlockNames {
  std::string attention;  // the attention; its products are AttentionNames below it
  AttentionNames products;
  std::string attention_norm, up, down, out_norm;
  std::string gate = {};  // of a gated block whose two products have names of their own; "": `up`
                          // is both
  std::string after_attention_norm = {}, after_feed_forward_norm = {};  // see BlockOptions
};

struct BlockDropout {
  double attention = 0;  // of its probabilities
  double attention_out = 0, feed_forward_out = 0;
  double feed_forward_inner = 0;  // between the two products
};

struct BlockOptions {
  int64_t hidden = 0, intermediate = 0;
  Heads heads;
  kernels::Activation activation = kernels::Activation::kGelu;
  bool is_gated = false;  // `up` gives twice as much: f(first half) * second half goes on (GEGLU,
                          // SwiGLU; Shazeer 2020, https://arxiv.org/abs/2002.05202)
  bool attention_has_bias = true, feed_forward_has_bias = true;
  bool attention_out_has_bias = true;  // see SelfAttentionOptions
  NormKind norm_kind = NormKind::kLayer;
  double norm_eps = 1e-12;
  BlockDropout dropout = {};
  // Norm before each part and the residual around it (Xiong et al. 2020), instead of after their
  // sum. What a part gives is normed too, before it is added, where BlockNames name such norms
  // (Gemma 2).
  bool norm_first = false;
  bool has_attention_norm = true;
  int64_t window = 0;                    // see SelfAttentionOptions
  RotaryOptions rotary = {};             // likewise
  double attention_scale = 0;            // likewise
  double attention_soft_cap = 0;         // likewise
  bool is_causal = false;                // likewise
  DistanceBias distance_bias = nullptr;  // the encoder's, not below this block by name; null: none
  BlockNames names = {};
};

class EncoderBlockImpl : public torch::nn::Module {
 public:
  explicit EncoderBlockImpl(const BlockOptions& options);
  // With an attention of the family's own.
  EncoderBlockImpl(const BlockOptions& options, std::shared_ptr<AttentionLayer> attention);

  // x [N, hidden] of all tokens -> [R, hidden] of `rows`.
  at::Tensor forward(const at::Tensor& x, const Rows& rows);

  using torch::nn::Module::to;
  void to(at::Device device, bool non_blocking = false) override;

 private:
  void add_norms();
  void add_feed_forward();
  at::Tensor feed_forward(const at::Tensor& x, const Rows& rows);
  at::Tensor forward_norm_first(const at::Tensor& x, const Rows& rows);

  BlockOptions options_;
  std::shared_ptr<AttentionLayer> attention_;
  LayerNorm attention_norm_{nullptr}, out_norm_{nullptr};
  LayerNorm after_attention_norm_{nullptr}, after_feed_forward_norm_{nullptr};
  JoinedLinear gate_and_up_;  // of a gated block
  Linear up_{nullptr};        // of any other
  Linear down_{nullptr};
};
TORCH_MODULE(EncoderBlock);

}  // namespace hone
