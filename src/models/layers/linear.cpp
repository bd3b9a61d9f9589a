#include "models/layers/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/layers/bias.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// y = x wᵀ + b, where the product reads `operand` (the master itself, or its bf16 shadow) and the gradient goes to `weight`, in fp32.
struct Product : torch::autograd::Function<Product> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight, const std::optional<Variable>& bias,
                          const at::Tensor& operand) {
    context->save_for_backward({x, operand});
    at::Tensor y = at::mm(x, operand.t());
    if (bias) add_bias(y, *bias);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor g = gradients[0].contiguous();  // [N, out]
    variable_list result(4);
    if (context->needs_input_grad(0)) result[0] = at::mm(g, saved[1]);
    if (context->needs_input_grad(1)) result[1] = at::mm(g.t(), saved[0]).to(at::kFloat);
    if (context->needs_input_grad(2)) result[2] = sum_rows(g);
    return result;
  }
};

}  // namespace

LinearImpl::LinearImpl(int64_t in, int64_t out, bool has_bias) {
  weight = register_parameter("weight", lazy_zeros({out, in}));
  bias = register_parameter("bias", has_bias ? at::zeros({out}) : at::Tensor());
}

at::Tensor LinearImpl::forward(const at::Tensor& x) { return multiply(x, bias.defined() ? std::optional(bias) : std::nullopt); }

at::Tensor LinearImpl::forward_without_bias(const at::Tensor& x) { return multiply(x, std::nullopt); }

at::Tensor LinearImpl::multiply(const at::Tensor& x, const std::optional<at::Tensor>& with_bias) {
  if (x.scalar_type() == at::kFloat) return Product::apply(x, weight, with_bias, weight.detach());
  if (!shadow_.defined()) refresh_shadow();
  return Product::apply(x, weight, with_bias, shadow_);
}

void LinearImpl::initialise(double range, uint64_t seed) {
  fill_normal(weight, range, seed);
  const c10::AutoGradMode no_grad(false);
  if (bias.defined()) bias.zero_();
  if (shadow_.defined()) refresh_shadow();
}

void LinearImpl::set_precision(Precision precision) {
  shadow_.reset();
  if (precision == Precision::kBf16) refresh_shadow();
}

void LinearImpl::refresh_shadow() {
  const c10::AutoGradMode no_grad(false);
  if (!shadow_.defined()) shadow_ = at::empty_like(weight, weight.options().dtype(at::kBFloat16).requires_grad(false));
  shadow_.copy_(weight);
}

}  // namespace hone
