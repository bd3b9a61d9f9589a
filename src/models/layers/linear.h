// The one Linear of all models: the single place for precision, and for adapters, int8 and pruning masks as they come.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/backbone.h"

namespace hone {

class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool has_bias = true);

  at::Tensor forward(const at::Tensor& x);               // [N, in] -> [N, out], in x's type
  at::Tensor forward_without_bias(const at::Tensor& x);  // for kernels that add the bias themselves
  void initialise(double range, uint64_t seed);          // normal(0, range) weights, zero bias (BERT's rule)

  // bf16: products use a bf16 copy of the weight, refreshed by refresh_shadow after each optimizer step; the fp32 master stays the
  // parameter.
  void set_precision(Precision precision);
  void refresh_shadow();
  at::Tensor& shadow() { return shadow_; }

  at::Tensor weight;  // [out, in] fp32
  at::Tensor bias;    // [out] fp32, or undefined

 private:
  at::Tensor multiply(const at::Tensor& x, const std::optional<at::Tensor>& with_bias);

  at::Tensor shadow_;  // [out, in] bf16, or undefined
};
TORCH_MODULE(Linear);

}  // namespace hone
