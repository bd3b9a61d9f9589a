// Dropout, residual and normalisation in one pass over memory.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/kernels/dropout.h"

namespace hone::kernels {

// LayerNorm(residual + dropout(x)) * weight + bias, over the last dimension; statistics in fp32.
// `residual` may be undefined (plain LayerNorm of x). x, residual [N, H] fp32 or bf16; weight, bias
// [H] fp32. Returns x's type. Differentiable in all.
at::Tensor dropout_add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                                  const at::Tensor& weight, const at::Tensor& bias, double eps,
                                  const DropoutOptions& dropout);
at::Tensor dropout_add_layer_norm_reference(const at::Tensor& x, const at::Tensor& residual,
                                            const at::Tensor& weight, const at::Tensor& bias,
                                            double eps, const DropoutOptions& dropout);

// RMSNorm(residual + dropout(x)) * weight (Zhang and Sennrich 2019,
// https://arxiv.org/abs/1910.07467), otherwise as above.
at::Tensor dropout_add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                const at::Tensor& weight, double eps,
                                const DropoutOptions& dropout);
at::Tensor dropout_add_rms_norm_reference(const at::Tensor& x, const at::Tensor& residual,
                                          const at::Tensor& weight, double eps,
                                          const DropoutOptions& dropout);

}  // namespace hone::kernels
