// Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980) with weight decay as an L2 penalty,
// the values of torch.optim.Adam. Its betas and epsilon are the section's adam_….
#include <ATen/ATen.h>

#include "tune/optim/adam_moments.h"

namespace hone {
namespace {

class Adam : public TensorRule {
 public:
  explicit Adam(const TrainOptions& train)
      : numbers_{train.adam_beta1, train.adam_beta2, train.adam_epsilon} {}

  RuleState start(const Parameter& parameter) const override { return start_moments(parameter); }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    gradient.add_(value, step.weight_decay);
    move_by_adam(value, gradient, state, numbers_, step);
  }

 private:
  AdamNumbers numbers_;
};

std::unique_ptr<Optimizer> make(std::vector<Parameter> parameters, const TrainOptions& train) {
  return std::make_unique<ByTensor>(std::move(parameters), std::make_unique<Adam>(train));
}

}  // namespace

OptimizerInfo adam() {
  return {"adam", "Adam; weight decay as an L2 penalty", make, nullptr, /*has_adam_options=*/true};
}

}  // namespace hone
