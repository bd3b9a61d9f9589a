#include "models/kernels/norm.h"

#include <ATen/ATen.h>

namespace hone::kernels {

at::Tensor dropout_add_layer_norm_reference(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias,
                                            double eps, const DropoutOptions& dropout) {
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  at::Tensor sum = x.to(type);
  if (dropout.p > 0) sum = sum * dropout_mask(x.size(0), x.size(1), dropout);
  if (residual.defined()) sum = sum + residual.to(type);
  return at::layer_norm(sum, {x.size(1)}, weight.to(type), bias.to(type), eps).to(x.scalar_type());
}

at::Tensor dropout_add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias, double eps,
                                  const DropoutOptions& dropout) {
  return dropout_add_layer_norm_reference(x, residual, weight, bias, eps, dropout);
}

}  // namespace hone::kernels
