// LayerNorm under the checkpoint's names, alone or joined with the dropout and the residual before
// it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/kernels/dropout.h"

namespace hone {

class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t width, double eps, bool has_bias = true);

  at::Tensor forward(const at::Tensor& x);  // [N, width], fp32 or bf16
  // norm(residual + dropout(x))
  at::Tensor forward_after(const at::Tensor& residual, const at::Tensor& x,
                           const kernels::DropoutOptions& dropout);

  at::Tensor weight, bias;  // [width] fp32; bias undefined where there is none

 private:
  double eps_;
};
TORCH_MODULE(LayerNorm);

}  // namespace hone
