// SGD with momentum and Nesterov's look-ahead, the values of torch.optim.SGD; weight decay is
// coupled there (an L2 penalty), so it is here.
//
//   g += decay · x;   m = momentum · m + g;   x -= rate · m   (Nesterov: rate · (g + momentum · m))
#include <ATen/ATen.h>

#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

class Sgd : public TensorRule {
 public:
  struct Options {
    double momentum = 0;
    bool nesterov = false;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("momentum", momentum);
      visit("nesterov", nesterov);
    }
    void check(const Config& section) const {
      need_share(section, "momentum", momentum);
      if (nesterov && momentum == 0)
        throw section.error("nesterov",
                            "\"nesterov\" looks ahead along the momentum, and "
                            "\"momentum\" is 0");
    }
  };
  explicit Sgd(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    if (options_.momentum == 0) return {};
    return {{"momentum", at::zeros_like(parameter.value)}};
  }
  // The first momentum is the gradient itself, which 0 · momentum + g gives too.
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    gradient.add_(value, step.weight_decay);
    if (options_.momentum == 0) {
      value.sub_(gradient, step.rate);
      return;
    }
    const at::Tensor& momentum = state.at("momentum");
    momentum.mul_(options_.momentum).add_(gradient);
    value.sub_(options_.nesterov ? gradient.add_(momentum, options_.momentum) : momentum,
               step.rate);
  }

 private:
  Options options_;
};

}  // namespace

OptimizerInfo sgd() {
  return {"sgd", "SGD with momentum; weight decay as an L2 penalty", make_by_tensor<Sgd>,
          read_options<Sgd::Options>};
}

}  // namespace hone
