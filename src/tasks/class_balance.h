// Losses for classes of very different size: of texts, of tokens by their tags, of pairs of
// entities by their relations. They are those of training alone: an evaluation's loss is the plain
// one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "tasks/task.h"

namespace hone {

// What each class's rows count in training.
enum class ClassWeights { kNone, kBalanced, kInverseSqrt, kEffective };
const std::vector<std::string>& option_names(ClassWeights);  // "none", "balanced", …

// A part of a task's options: keys "class_weights", "logit_adjustment", "focal_gamma".
struct ClassBalance {
  ClassWeights class_weights = ClassWeights::kNone;
  double logit_adjustment = 0;  // of the logarithms of the classes' shares, added to the logits
  double focal_gamma = 0;       // how much less rows count that are right already

  bool counts_rows() const { return class_weights != ClassWeights::kNone || logit_adjustment != 0; }
  bool is_none() const { return !counts_rows() && focal_gamma == 0; }
  void check(const Config& section) const;  // Error(kUsage) at its key for a value out of range
};

template <typename SomeBalance, typename Visitor>
void for_each_balance_option(SomeBalance& balance, Visitor&& visit) {
  visit("class_weights", balance.class_weights);
  visit("logit_adjustment", balance.logit_adjustment);
  visit("focal_gamma", balance.focal_gamma);
}

// A factor for each class's rows, by how many rows of training data it has. Scaled so that their
// mean over those rows is 1: the loss, and with it the rate, stays of its size. A class without
// rows gets that of a class with one.
//   balanced      1 / n: each class counts as much as any other
//   inverse_sqrt  1 / √n
//   effective     (1 - β) / (1 - βⁿ), β = 0.999 (Cui et al. 2019, https://arxiv.org/abs/1901.05555)
std::vector<double> class_weights(ClassWeights rule, const std::vector<int64_t>& rows);

// The logarithms of the classes' shares of the rows; of one without rows as if it had one.
std::vector<double> log_shares(const std::vector<int64_t>& rows);

// The losses [S] of one class each, logits [S, C], classes [S] int64 or -100 for none, whose loss
// is 0:
//   w_y · (1 - p_y)^γ · cross-entropy(logits + τ log π, y)
// with class_weights w, focal_gamma γ (Lin et al. 2017, https://arxiv.org/abs/1708.02002), and
// logit_adjustment τ (Menon et al. 2021, https://arxiv.org/abs/2007.07314), where p is that of the
// adjusted logits.
at::Tensor balanced_losses(const at::Tensor& logits, const at::Tensor& classes,
                           const ClassBalance& balance, const std::vector<int64_t>& rows,
                           double label_smoothing);

// Their sum []; in an evaluation, and where nothing is balanced, that of the plain cross-entropies.
at::Tensor class_loss(const at::Tensor& logits, const at::Tensor& classes,
                      const ClassBalance& balance, const std::vector<int64_t>& rows,
                      const LossOptions& options);

// Of several labels, logits [S, C] and targets [S, C] of zeros and ones: (1 - p)^γ times the loss
// of each label's yes or no, p the probability of what is right.
at::Tensor focal_factors(const at::Tensor& logits, const at::Tensor& targets, double gamma);

}  // namespace hone
