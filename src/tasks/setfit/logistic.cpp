#include "tasks/setfit/logistic.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/optim/lbfgs.h>

namespace hone::setfit {

LogisticWeights solve_logistic(const at::Tensor& x, const at::Tensor& classes, int64_t count,
                               double c) {
  const c10::AutoGradMode with_gradients(true);
  const at::Tensor inputs = x.detach().to(at::kDouble);
  at::Tensor weight = at::zeros({count, x.size(1)}, at::kDouble).requires_grad_(),
             bias = at::zeros({count}, at::kDouble).requires_grad_();
  // Two classes have opposite weights, each half of the difference that the penalty is meant for.
  const double penalty = count == 2 ? 1 : 0.5;
  torch::optim::LBFGS optimizer(std::vector<at::Tensor>{weight, bias},
                                torch::optim::LBFGSOptions(1)
                                    .max_iter(2000)
                                    .tolerance_grad(1e-9)
                                    .tolerance_change(1e-15)
                                    .line_search_fn("strong_wolfe"));
  optimizer.step([&] {
    optimizer.zero_grad();
    const at::Tensor loss = c * at::cross_entropy_loss(inputs.matmul(weight.t()) + bias, classes,
                                                       {}, at::Reduction::Sum) +
                            penalty * weight.square().sum();
    loss.backward();
    return loss;
  });
  return {weight.detach(), bias.detach()};
}

}  // namespace hone::setfit
