// Adafactor (Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235), the values of
// transformers.optimization.Adafactor: the second moment of a matrix is kept as its row and column
// means, so that the state of a matrix is two vectors.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

double root_mean_square(const at::Tensor& x) {
  return std::sqrt(squares_of(x) / static_cast<double>(std::max<int64_t>(1, x.numel())));
}

class Adafactor : public TensorRule {
 public:
  struct Options {
    double eps = 1e-30;            // added to squared gradients
    double scale_eps = 1e-3;       // the least size of a tensor, where steps are scaled by it
    double clip_threshold = 1;     // of an update's root mean square
    double decay_rate = -0.8;      // the second moment's memory grows with the steps: 1 - t^this
    double beta1 = 0;              // above 0: a first moment too
    bool scale_parameter = false;  // steps in units of the tensor's root mean square
    bool relative_step = false;    // the rate is min(0.01, 1 / √t) of step t, whatever the run's
    bool warmup_init = false;      // then it begins as 1e-6 · t
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("eps", eps);
      visit("scale_eps", scale_eps);
      visit("clip_threshold", clip_threshold);
      visit("decay_rate", decay_rate);
      visit("beta1", beta1);
      visit("scale_parameter", scale_parameter);
      visit("relative_step", relative_step);
      visit("warmup_init", warmup_init);
    }
    void check(const Config& section) const {
      need_positive(section, "eps", eps);
      need_positive(section, "scale_eps", scale_eps);
      need_positive(section, "clip_threshold", clip_threshold);
      need_share(section, "beta1", beta1);
      if (!(decay_rate < 0) || !std::isfinite(decay_rate))
        throw section.error("decay_rate", "\"decay_rate\" must be less than 0");
      if (warmup_init && !relative_step)
        throw section.error(
            "warmup_init",
            "\"warmup_init\" is of relative steps: it needs \"relative_step: true\"");
    }
  };
  explicit Adafactor(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    RuleState state;
    if (parameter.value.dim() < 2) {
      state["exp_avg_sq"] = at::zeros_like(parameter.value);
    } else {
      state["exp_avg_sq_row"] = at::zeros_like(parameter.value.mean(-1));
      state["exp_avg_sq_col"] = at::zeros_like(parameter.value.mean(-2));
    }
    if (options_.beta1 > 0) state["exp_avg"] = at::zeros_like(parameter.value);
    return state;
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    const double scale = options_.scale_parameter
                             ? std::max(options_.scale_eps, root_mean_square(value))
                             : 1,
                 rate = (options_.relative_step ? relative_rate(step) : step.rate) * scale;
    at::Tensor moved = divided(gradient, state, step.step);
    moved.mul_(rate / std::max(1.0, root_mean_square(moved) / options_.clip_threshold));
    if (options_.beta1 > 0) moved = state.at("exp_avg").lerp_(moved, 1 - options_.beta1);
    value.mul_(1 - rate * step.weight_decay).sub_(moved);
  }

 private:
  double relative_rate(const RuleStep& step) const {
    const auto t = static_cast<double>(step.step);
    return step.factor * std::min(options_.warmup_init ? 1e-6 * t : 1e-2, 1 / std::sqrt(t));
  }

  // The gradient over the root of its second moment.
  at::Tensor divided(const at::Tensor& gradient, RuleState& state, int64_t step) const {
    const double fresh = std::pow(static_cast<double>(step), options_.decay_rate);
    const at::Tensor square = gradient.square().add_(options_.eps);
    if (gradient.dim() < 2) return state.at("exp_avg_sq").lerp_(square, fresh).rsqrt() * gradient;
    const at::Tensor &row = state.at("exp_avg_sq_row").lerp_(square.mean(-1), fresh),
                     &column = state.at("exp_avg_sq_col").lerp_(square.mean(-2), fresh);
    return (row / row.mean(-1, true)).rsqrt_().unsqueeze(-1) * column.rsqrt().unsqueeze(-2) *
           gradient;
  }

  Options options_;
};

}  // namespace

OptimizerInfo adafactor() {
  return {"adafactor", "second moments by rows and columns: nearly no state",
          make_by_tensor<Adafactor>, read_options<Adafactor::Options>};
}

}  // namespace hone
