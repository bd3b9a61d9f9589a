// Adam's step for one tensor at a time (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), which
// several rules are built on: two running means of the gradient and of its square, both corrected
// for their start at zero.
//
//   m = β1 · m + (1 - β1) · g;   v = β2 · v + (1 - β2) · g²
//   step = m̂ / (√v̂ + eps),   m̂ = m / (1 - β1ᵗ), v̂ = v / (1 - β2ᵗ)
#pragma once

#include "tune/optim/tensor_rule.h"

namespace hone {

struct AdamNumbers {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  template <typename Visit>
  void for_each(Visit&& visit) {  // and `check`: see tune/entry_options.h
    visit("beta1", beta1);
    visit("beta2", beta2);
    visit("eps", eps);
  }
  void check(const Config& section) const;
};

// "exp_avg" and "exp_avg_sq", both zero.
RuleState start_moments(const Parameter& parameter);

// The step is mean / divisor / correction.
struct AdamStep {
  at::Tensor mean;     // of the state: not to be written
  at::Tensor divisor;  // (√v̂ + eps), the caller's own
  double correction = 1;
};
// Takes the gradient into the moments, as step number `step`, counted from 1.
AdamStep move_moments(const at::Tensor& gradient, RuleState& state, const AdamNumbers& numbers,
                      int64_t step);

// value -= rate · step
void move_by_adam(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
                  const AdamNumbers& numbers, const RuleStep& step);

}  // namespace hone
