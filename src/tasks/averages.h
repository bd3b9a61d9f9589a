// One answer of several models to the same batch, in the form in which each gave its own: what an
// ensemble answers. Each takes at least one tensor, all of one shape.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace hone {

// Logits [R, C] of classes: the logarithm of the mean of their probabilities, whose softmax is that
// mean (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474).
at::Tensor average_of_classes(const std::vector<at::Tensor>& logits);

// Logits of yes or no, each by itself: that of the mean probability of yes.
at::Tensor average_of_labels(const std::vector<at::Tensor>& logits);

// Numbers: their mean.
at::Tensor average_of_numbers(const std::vector<at::Tensor>& numbers);

}  // namespace hone
