// The three products of a linear layer in bf16, with sums in fp32: block products
// (at::native::cpublas::brgemm, which is oneDNN's) over operands that are packed as they are
// needed. at::mm computes at the same rate but sets every product up anew, for 0.1 ms on one
// thread; a product of a small model takes 0.5.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace hone::kernels {

// Whether the functions below may be used for a layer with weight [out, in] on rows like x's ([N,
// in] or [N, out]): both bf16, on a CPU that multiplies bf16, `in` and `out` multiples of 16.
bool has_product(const at::Tensor& x, const at::Tensor& weight);

// All REQUIRE has_product of the layer; tensors that are not contiguous are copied. Results do not
// depend on the number of threads, and a row of the first two not on other rows. No autograd. Throw
// c10::Error where sizes or types do not agree.

// x Wᵀ + bias: x [N, in], weight [out, in], bias [out] fp32 -> [N, out] bf16, rounded once.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias);
// g W: g [N, out] -> [N, in] bf16.
at::Tensor product_input_gradient(const at::Tensor& g, const at::Tensor& weight);
// gᵀ x: g [N, out] bf16, x [N, in] bf16 -> [out, in] fp32, not rounded to bf16.
at::Tensor product_weight_gradient(const at::Tensor& g, const at::Tensor& x);

}  // namespace hone::kernels
