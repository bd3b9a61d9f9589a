// Softmax cross-entropy summed over rows; rows without a target are left out.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

// logits [R, C] fp32 or bf16, targets [R] int64 (ignore_index rows give nothing) -> scalar fp32
// sum. label_smoothing as in PyTorch, but summed.
at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets,
                             int64_t ignore_index = -100, double label_smoothing = 0);

}  // namespace hone::kernels
