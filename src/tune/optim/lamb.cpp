// LAMB (You et al. 2020, https://arxiv.org/abs/1904.00962): Adam's step, of each tensor as long as
// the tensor itself; for large batches.
//
//   u = m̂ / (√v̂ + eps) + decay · x;   x -= rate · ‖x‖ / ‖u‖ · u   (the ratio is 1 where a norm is
//   0)
#include <ATen/ATen.h>

#include <cmath>

#include "tune/optim/adam_moments.h"

namespace hone {
namespace {

class Lamb : public TensorRule {
 public:
  struct Options : AdamNumbers {
    Options() { eps = 1e-6; }
  };
  explicit Lamb(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override { return start_moments(parameter); }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    const AdamStep adam = move_moments(gradient, state, options_, step.step);
    const at::Tensor moved = at::div(adam.mean, adam.divisor).div_(adam.correction);
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
