// A convolution along each sequence, with zeros beyond its ends, and what DeBERTa-v2 does with it
// (He et al. 2021, https://arxiv.org/abs/2006.03654v6, "nGiE"): norm(residual + f(dropout(c(x)))).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/kernels/activation.h"
#include "models/layers/norm.h"
#include "models/layers/rows.h"

namespace hone {

struct ConvolutionOptions {
  int64_t hidden = 0;
  int64_t tokens = 0;  // that a token sees, itself in the middle: an odd number; 0: no such layer
  int64_t groups = 1;  // of columns, which see those of their own group alone
  kernels::Activation activation = kernels::Activation::kTanh;
  double norm_eps = 1e-7, dropout = 0.1;
};

class ConvolutionImpl : public torch::nn::Module {
 public:
  explicit ConvolutionImpl(const ConvolutionOptions& options);

  // x [N, hidden] of all tokens, residual [R, hidden] of `rows` -> [R, hidden].
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual, const Rows& rows);

 private:
  at::Tensor convolve(const at::Tensor& x, const Packed& tokens) const;

  ConvolutionOptions options_;
  at::Tensor weight_, bias_;  // [hidden, hidden / groups, tokens], [hidden]
  LayerNorm norm_{nullptr};
};
TORCH_MODULE(Convolution);

}  // namespace hone
