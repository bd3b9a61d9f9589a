#include "tune/optim/adam_moments.h"

#include <ATen/ATen.h>

#include <cmath>

namespace hone {

void AdamNumbers::check(const Config& section) const {
  need_share(section, "beta1", beta1);
  need_share(section, "beta2", beta2);
  need_positive(section, "eps", eps);
}

RuleState start_moments(const Parameter& parameter) {
  return {{"exp_avg", at::zeros_like(parameter.value)},
          {"exp_avg_sq", at::zeros_like(parameter.value)}};
}

AdamStep move_moments(const at::Tensor& gradient, RuleState& state, const AdamNumbers& numbers,
                      int64_t step) {
  const at::Tensor &m = state.at("exp_avg"), &v = state.at("exp_avg_sq");
  m.lerp_(gradient, 1 - numbers.beta1);
  v.mul_(numbers.beta2).addcmul_(gradient, gradient, 1 - numbers.beta2);
  const auto t = static_cast<double>(step);
  const double of_squares = 1 - std::pow(numbers.beta2, t);
  return {m, v.sqrt().div_(std::sqrt(of_squares)).add_(numbers.eps),
          1 - std::pow(numbers.beta1, t)};
}

void move_by_adam(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
                  const AdamNumbers& numbers, const RuleStep& step) {
  const AdamStep moved = move_moments(gradient, state, numbers, step.step);
  value.addcdiv_(moved.mean, moved.divisor, -step.rate / moved.correction);
}

}  // namespace hone
