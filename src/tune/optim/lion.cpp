// Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675): the sign of an interpolation of
// momentum and gradient, one moment, decoupled decay. Its steps are larger than Adam's: the paper
// takes a rate 3 to 10 times smaller and a decay as much larger.
//
//   x -= rate · (sign(beta1 · m + (1 - beta1) · g) + decay · x);   m = beta2 · m + (1 - beta2) · g
#include <ATen/ATen.h>

#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

class Lion : public TensorRule {
 public:
  struct Options {
    double beta1 = 0.9, beta2 = 0.99;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("beta1", beta1);
      visit("beta2", beta2);
    }
    void check(const Config& section) const {
      need_share(section, "beta1", beta1);
      need_share(section, "beta2", beta2);
    }
  };
  explicit Lion(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    return {{"exp_avg", at::zeros_like(parameter.value)}};
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    const at::Tensor& m = state.at("exp_avg");
    value.mul_(1 - step.rate * step.weight_decay);
    value.sub_(at::lerp(m, gradient, 1 - options_.beta1).sign_(), step.rate);
    m.lerp_(gradient, 1 - options_.beta2);
  }

 private:
  Options options_;
};

}  // namespace

OptimizerInfo lion() {
  return {"lion", "the sign of the momentum; a third of AdamW's rate", make_by_tensor<Lion>,
          read_options<Lion::Options>};
}

}  // namespace hone
