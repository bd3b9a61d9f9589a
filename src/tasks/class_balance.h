// Losses for classes of very different size. They are those of training alone: an evaluation's loss
// is the plain one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "tasks/classify/options.h"

namespace hone::classify {

// A factor for each class's rows, by how many rows of training data it has. Scaled so that their
// mean over those rows is 1: the loss, and with it the rate, stays of its size. A class without
// rows gets that of a class with one.
//   balanced      1 / n: each class counts as much as any other
//   inverse_sqrt  1 / √n
//   effective     (1 - β) / (1 - βⁿ), β = 0.999 (Cui et al. 2019, https://arxiv.org/abs/1901.05555)
std::vector<double> class_weights(ClassWeights rule, const std::vector<int64_t>& rows);

// The logarithms of the classes' shares of the rows; of one without rows as if it had one.
std::vector<double> log_shares(const std::vector<int64_t>& rows);

// The sum of the losses of one class each, logits [S, C], classes [S] int64 or -100 for none:
//   w_y · (1 - p_y)^γ · cross-entropy(logits + τ log π, y)
// with class_weights w, focal_gamma γ (Lin et al. 2017, https://arxiv.org/abs/1708.02002), and
// logit_adjustment τ (Menon et al. 2021, https://arxiv.org/abs/2007.07314), where p is that of the
// adjusted logits.
at::Tensor balanced_loss(const at::Tensor& logits, const at::Tensor& classes,
                         const Options& options, const std::vector<int64_t>& rows,
                         double label_smoothing);

// Of several labels, logits [S, C] and targets [S, C] of zeros and ones: (1 - p)^γ times the loss
// of each label's yes or no, p the probability of what is right.
at::Tensor focal_factors(const at::Tensor& logits, const at::Tensor& targets, double gamma);

}  // namespace hone::classify
