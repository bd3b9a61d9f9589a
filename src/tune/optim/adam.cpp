// Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980) with weight decay as an L2 penalty,
// the values of torch.optim.Adam. Its betas and epsilon are the section's adam_….
#include <ATen/ATen.h>

#include <cmath>

#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

class Adam : public TensorRule {
 public:
  explicit Adam(const TrainOptions& train)
      : beta1_(train.adam_beta1), beta2_(train.adam_beta2), epsilon_(train.adam_epsilon) {}

  RuleState start(const Parameter& parameter) const override {
    return {{"exp_avg", at::zeros_like(parameter.value)},
            {"exp_avg_sq", at::zeros_like(parameter.value)}};
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    gradient.add_(value, step.weight_decay);
    const at::Tensor &m = state.at("exp_avg"), &v = state.at("exp_avg_sq");
    m.lerp_(gradient, 1 - beta1_);
    v.mul_(beta2_).addcmul_(gradient, gradient, 1 - beta2_);
    const auto t = static_cast<double>(step.step);
    const double c1 = 1 - std::pow(beta1_, t), c2 = 1 - std::pow(beta2_, t);
    value.addcdiv_(m, v.sqrt().div_(std::sqrt(c2)).add_(epsilon_), -step.rate / c1);
  }

 private:
  double beta1_, beta2_, epsilon_;
};

std::unique_ptr<Optimizer> make(std::vector<Parameter> parameters, const TrainOptions& train) {
  return std::make_unique<ByTensor>(std::move(parameters), std::make_unique<Adam>(train));
}

}  // namespace

OptimizerInfo adam() {
  return {"adam", "Adam; weight decay as an L2 penalty", make, nullptr, /*has_adam_options=*/true};
}

}  // namespace hone
