// The products of a linear layer on whatever device and type its rows have.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace hone {

// x Wᵀ + bias: x [N, in], operand [out, in] in x's type, bias [out] fp32 -> [N, out].
at::Tensor product_of(const at::Tensor& x, const at::Tensor& operand,
                      const std::optional<at::Tensor>& bias);
// g W: g [N, out] -> [N, in].
at::Tensor input_gradient(const at::Tensor& g, const at::Tensor& operand);
// gᵀ x: g [N, out], x [N, in] -> [out, in] fp32. `operand`: the layer's.
at::Tensor weight_gradient(const at::Tensor& g, const at::Tensor& x, const at::Tensor& operand);

}  // namespace hone
