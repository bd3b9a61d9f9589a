// LAMB (You et al. 2020, https://arxiv.org/abs/1904.00962): Adam's step, of each tensor as long as
// the tensor itself; for large batches.
//
//   u = m̂ / (√v̂ + eps) + decay · x;   x -= rate · ‖x‖ / ‖u‖ · u   (the ratio is 1 where a norm is
//   0)
#include <ATen/ATen.h>

#include <cmath>

#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

class Lamb : public TensorRule {
 public:
  struct Options {
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-6;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("beta1", beta1);
      visit("beta2", beta2);
      visit("eps", eps);
    }
    void check(const Config& section) const {
      need_share(section, "beta1", beta1);
      need_share(section, "beta2", beta2);
      need_positive(section, "eps", eps);
    }
  };
  explicit Lamb(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    return {{"exp_avg", at::zeros_like(parameter.value)},
            {"exp_avg_sq", at::zeros_like(parameter.value)}};
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    const at::Tensor &m = state.at("exp_avg"), &v = state.at("exp_avg_sq");
    m.lerp_(gradient, 1 - options_.beta1);
    v.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const auto t = static_cast<double>(step.step);
    const double c1 = 1 - std::pow(options_.beta1, t), c2 = 1 - std::pow(options_.beta2, t);
    const at::Tensor moved = (m / c1).div_((v / c2).sqrt_().add_(options_.eps));
    moved.add_(value, step.weight_decay);
    const double size = std::sqrt(squares_of(value)), length = std::sqrt(squares_of(moved));
    value.sub_(moved, step.rate * (size > 0 && length > 0 ? size / length : 1));
  }

 private:
  Options options_;
};

}  // namespace

OptimizerInfo lamb() {
  return {"lamb", "Adam's step scaled to each tensor's norm; for large batches",
          make_by_tensor<Lamb>, read_options<Lamb::Options>};
}

}  // namespace hone
