// Softmax cross-entropy of a linear layer's outputs where these are too many to keep: a vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

struct LinearCrossEntropyOptions {
  int64_t ignore_index = -100;
  double label_smoothing = 0;
  double soft_cap = 0;       // logits become soft_cap * tanh(logits / soft_cap); 0: they stay
  int64_t chunk_rows = 256;  // logits of so many rows exist at a time
};

// cross_entropy_sum(x weightᵀ + bias, targets) -> scalar fp32, without a matrix [R, V]: rows are
// taken in chunks, and a chunk's gradient is computed with its loss, while its logits are at hand
// (as Hsu et al. 2024 do, https://arxiv.org/abs/2410.10989). Rows without a target cost nothing. x
// [R, H] fp32 or bf16; weight [V, H] fp32, whose gradient is fp32; `operand` is what is multiplied:
// weight itself or its bf16 shadow, in x's type. bias [V] fp32, or undefined. targets [R] int64.
// Differentiable in x, weight and bias, once.
at::Tensor linear_cross_entropy_sum(const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& bias, const at::Tensor& operand,
                                    const at::Tensor& targets,
                                    const LinearCrossEntropyOptions& options = {});
// Bytes of a chunk's logits and of their gradient, of `words` words and values of `width` bytes.
constexpr int64_t linear_cross_entropy_bytes(int64_t words, int64_t width) {
  return 2 * LinearCrossEntropyOptions{}.chunk_rows * words * width;
}
at::Tensor linear_cross_entropy_sum_reference(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, const at::Tensor& targets,
                                              const LinearCrossEntropyOptions& options = {});

}  // namespace hone::kernels
