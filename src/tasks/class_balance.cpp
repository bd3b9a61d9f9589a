#include "tasks/class_balance.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/kernels/cross_entropy.h"

namespace hone {
namespace {

constexpr double kBeta = 0.999;
constexpr double kNearlyRight = 1e-7;  // a power below 1 has no slope at 0

double weight_of(ClassWeights rule, double rows) {
  switch (rule) {
    case ClassWeights::kBalanced:
      return 1 / rows;
    case ClassWeights::kInverseSqrt:
      return 1 / std::sqrt(rows);
    case ClassWeights::kEffective:
      return (1 - kBeta) / (1 - std::pow(kBeta, rows));
    case ClassWeights::kNone:
      break;
  }
  return 1;
}

at::Tensor beside(const std::vector<double>& values, const at::Tensor& logits) {
  return at::tensor(values, at::kDouble).to(logits.options());
}

at::Tensor focal_factor(const at::Tensor& p, double gamma) {
  return (1 - p).clamp_min(kNearlyRight).pow(gamma);
}

}  // namespace

const std::vector<std::string>& option_names(ClassWeights) {
  static const std::vector<std::string> names = {"none", "balanced", "inverse_sqrt", "effective"};
  return names;
}

void ClassBalance::check(const Config& section) const {
  for (const auto& [key, value] :
       {std::pair("logit_adjustment", logit_adjustment), std::pair("focal_gamma", focal_gamma)}) {
    if (!(value >= 0 && value <= 100))
      throw section.error(key, fmt::format("\"{}\" is {}; it must be from 0 to 100", key, value));
  }
}

std::vector<double> class_weights(ClassWeights rule, const std::vector<int64_t>& rows) {
  std::vector<double> weights;
  double all = 0, sum = 0;
  for (const int64_t count : rows) {
    weights.push_back(weight_of(rule, static_cast<double>(std::max<int64_t>(count, 1))));
    all += static_cast<double>(count);
    sum += static_cast<double>(count) * weights.back();
  }
  for (double& weight : weights) weight *= all / sum;
  return weights;
}

std::vector<double> log_shares(const std::vector<int64_t>& rows) {
  double all = 0;
  for (const int64_t count : rows) all += static_cast<double>(std::max<int64_t>(count, 1));
  std::vector<double> shares;
  for (const int64_t count : rows)
    shares.push_back(std::log(static_cast<double>(std::max<int64_t>(count, 1)) / all));
  return shares;
}

at::Tensor balanced_losses(const at::Tensor& logits, const at::Tensor& classes,
                           const ClassBalance& balance, const std::vector<int64_t>& rows,
                           double label_smoothing) {
  const at::Tensor adjusted =
      balance.logit_adjustment == 0
          ? logits
          : logits + balance.logit_adjustment * beside(log_shares(rows), logits);
  at::Tensor each =
      at::cross_entropy_loss(adjusted, classes, {}, at::Reduction::None, -100, label_smoothing);
  const at::Tensor known = classes.clamp_min(0);
  if (balance.focal_gamma > 0)
    each = each * focal_factor(adjusted.softmax(1).gather(1, known.unsqueeze(1)).squeeze(1),
                               balance.focal_gamma);
  if (balance.class_weights != ClassWeights::kNone)
    each = each * beside(class_weights(balance.class_weights, rows), logits).index_select(0, known);
  return at::where(classes.ge(0), each, 0);
}

at::Tensor class_loss(const at::Tensor& logits, const at::Tensor& classes,
                      const ClassBalance& balance, const std::vector<int64_t>& rows,
                      const LossOptions& options) {
  const at::Tensor aims = classes.to(at::kLong);
  if (options.trains && !balance.is_none())
    return balanced_losses(logits, aims, balance, rows, options.label_smoothing).sum();
  return kernels::cross_entropy_sum(logits, aims, -100, options.label_smoothing);
}

at::Tensor focal_factors(const at::Tensor& logits, const at::Tensor& targets, double gamma) {
  const at::Tensor yes = logits.sigmoid();
  return focal_factor(at::where(targets.gt(0.5), yes, 1 - yes), gamma);
}

}  // namespace hone
