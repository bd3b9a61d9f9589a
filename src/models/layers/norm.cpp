#include "models/layers/norm.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "models/kernels/norm.h"

namespace hone {

LayerNormImpl::LayerNormImpl(int64_t width, double eps, NormKind kind) : eps_(eps), kind_(kind) {
  const bool has_bias = kind == NormKind::kLayer;
  weight = register_parameter("weight", at::full({width}, unit()));
  bias = register_parameter("bias", has_bias ? at::zeros({width}) : at::Tensor(), has_bias);
}

double LayerNormImpl::unit() const { return kind_ == NormKind::kRmsAroundOne ? 0 : 1; }

at::Tensor LayerNormImpl::forward(const at::Tensor& x) {
  return forward_after(at::Tensor(), x, {});
}

at::Tensor LayerNormImpl::forward_after(const at::Tensor& residual, const at::Tensor& x,
                                        const kernels::DropoutOptions& dropout) {
  if (kind_ == NormKind::kRms)
    return kernels::dropout_add_rms_norm(x, residual, weight, eps_, dropout);
  if (kind_ == NormKind::kRmsAroundOne)
    return kernels::dropout_add_rms_norm(x, residual, weight + 1, eps_, dropout);
  return kernels::dropout_add_layer_norm(x, residual, weight, bias, eps_, dropout);
}

}  // namespace hone
