// LayerNorm (or RMSNorm) under the checkpoint's names, alone or joined with the dropout and the
// residual before it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/kernels/dropout.h"

namespace hone {

enum class NormKind {
  kLayer,
  kLayerWithoutBias,
  kRms,  // no mean taken off, no bias (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467)
  kRmsAroundOne,  // likewise, and the weight is what the factor is above 1 (Gemma)
};

class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t width, double eps, NormKind kind = NormKind::kLayer);

  at::Tensor forward(const at::Tensor& x);  // [N, width], fp32 or bf16
  double unit() const;                      // the value of its weights that scales nothing
  // norm(residual + dropout(x))
  at::Tensor forward_after(const at::Tensor& residual, const at::Tensor& x,
                           const kernels::DropoutOptions& dropout);

  at::Tensor weight, bias;  // [width] fp32; bias undefined where there is none

 private:
  double eps_;
  NormKind kind_;
};
TORCH_MODULE(LayerNorm);

}  // namespace hone
