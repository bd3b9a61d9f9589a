// Activations with their bias in one pass; backward recomputes from the input.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace hone::kernels {

enum class Activation { kGelu, kGeluTanh, kRelu, kSilu, kTanh };
Activation activation_named(
    const std::string& hf_name);  // "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu",
                                  // "swish", "tanh"; else Error(kModel)

// f(x + bias), x [N, F] fp32 or bf16, bias [F] fp32 (may be undefined). Differentiable.
at::Tensor bias_activation(const at::Tensor& x, const at::Tensor& bias, Activation activation);
at::Tensor bias_activation_reference(const at::Tensor& x, const at::Tensor& bias,
                                     Activation activation);

// f(first half) * second half of each row of x [N, 2 F], fp32 or bf16 -> [N, F]: SwiGLU with
// f = SiLU, GEGLU with GELU (Shazeer 2020, https://arxiv.org/abs/2002.05202). Differentiable;
// backward recomputes from x.
at::Tensor gated_activation(const at::Tensor& x, Activation activation);
at::Tensor gated_activation_reference(const at::Tensor& x, Activation activation);

}  // namespace hone::kernels
