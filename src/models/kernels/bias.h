// A bias added to the rows of a product, and its gradient. Both faster than the ATen operations
// they stand for: addmm copies the bias into every row before it multiplies, and sum over rows of
// bf16 runs at a fraction of the memory's speed.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

// y += bias, y [N, F] fp32 or bf16 contiguous, bias [F] fp32. Not differentiable: for use inside of
// an autograd function.
void add_bias(at::Tensor& y, const at::Tensor& bias);

// Its gradient: the sum over rows of g [N, F] fp32 or bf16 -> [F] fp32, in an order that does not
// depend on threads.
at::Tensor bias_gradient(const at::Tensor& g);

}  // namespace hone::kernels
