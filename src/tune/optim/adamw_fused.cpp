#include "tune/optim/adamw_fused.h"

#include <ATen/ATen.h>

namespace hone {

void adamw_fused(const FusedParameters& parameters, const AdamWOptions& options, int64_t step,
                 double learning_rate, double gradient_scale, double weight_decay) {
  if (parameters.values.empty()) return;
  const c10::AutoGradMode no_grad(false);
  const at::Tensor& first = parameters.values.front();
  const auto number = [&](double value) {
    return at::full({}, value, first.options().requires_grad(false));
  };
  const std::vector<at::Tensor> steps(parameters.values.size(), number(static_cast<double>(step)));
  // The operation divides gradients by its scale.
  at::_fused_adamw_(parameters.values, parameters.gradients, parameters.exp_avgs,
                    parameters.exp_avg_sqs, /*max_exp_avg_sqs=*/{}, steps, learning_rate,
                    options.beta1, options.beta2, weight_decay, options.eps, /*amsgrad=*/false,
                    /*maximize=*/false, number(1 / gradient_scale));
  if (!parameters.shadows.empty()) at::_foreach_copy_(parameters.shadows, parameters.shadowed);
}

double norm_fused(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return 0;
  return at::stack(at::_foreach_norm(gradients)).to(at::kDouble).norm().item<double>();
}

}  // namespace hone
