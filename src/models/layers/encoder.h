// An encoder block and a stack of them: attention, then two products with an activation between,
// each with dropout, residual and norm.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>
#include <vector>

#include "models/kernels/activation.h"
#include "models/layers/attention.h"
#include "models/layers/norm.h"

namespace hone {

// A family's own names below a block; dotted where its checkpoints nest them.
struct EncoderNames {
  std::string attention;  // the attention; its products are AttentionNames below it
  AttentionNames products;
  std::string attention_norm, up, down, out_norm;
};

struct EncoderOptions {
  int64_t layers = 0, hidden = 0, heads = 0, intermediate = 0;
  kernels::Activation activation = kernels::Activation::kGelu;
  double norm_eps = 1e-12;
  double dropout = 0.1, attention_dropout = 0.1;
  bool norm_first = false;  // norm before each part and the residual around it (Xiong et al. 2020),
                            // instead of after their sum
  EncoderNames names;
};

class EncoderBlockImpl : public torch::nn::Module {
 public:
  EncoderBlockImpl(const EncoderOptions& options, int64_t layer);

  // x [N, hidden] -> [N, hidden]; of the given `rows` [R] int64 alone where they are defined, ->
  // [R, hidden].
  at::Tensor forward(const at::Tensor& x, const Packed& tokens, const at::Tensor& rows = {});

 private:
  at::Tensor feed_forward(const at::Tensor& x);

  EncoderOptions options_;
  int64_t layer_;
  SelfAttention attention_{nullptr};
  LayerNorm attention_norm_{nullptr}, out_norm_{nullptr};
  Linear up_{nullptr}, down_{nullptr};
};
TORCH_MODULE(EncoderBlock);

// Blocks "layer.0", "layer.1", …
class EncoderImpl : public torch::nn::Module {
 public:
  explicit EncoderImpl(const EncoderOptions& options);

  // [N, hidden] -> [N, hidden], or [R, hidden] of the rows that are wanted: then the last block
  // computes no others.
  at::Tensor forward(at::Tensor x, const Packed& tokens, const at::Tensor& rows = {});
  void set_recompute(bool recomputes) {
    recomputes_ = recomputes;
  }  // keep only each block's input for backward

 private:
  std::vector<EncoderBlock> blocks_;
  bool recomputes_ = false;
};
TORCH_MODULE(Encoder);

}  // namespace hone
