// How far two outputs of a task are apart, where targets are: sums, as losses are. All are
// symmetric, differentiable on both sides, and 0 for equal outputs.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone {

// Logits [R, C] of classes: (KL(p‖q) + KL(q‖p)) / 2, summed over the rows where `has_target` [R].
at::Tensor class_divergence(const at::Tensor& a, const at::Tensor& b, const at::Tensor& has_target);

// Logits of yes or no, each by itself: the same of two Bernoulli distributions, where `has_target`
// (of the logits' shape).
at::Tensor label_divergence(const at::Tensor& a, const at::Tensor& b, const at::Tensor& has_target);

// Numbers: squared differences.
at::Tensor squared_difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace hone
