#include "models/layers/gated_product.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/activation.h"
#include "models/kernels/bias.h"
#include "models/kernels/tensors.h"
#include "models/layers/products.h"

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct GatedProduct : torch::autograd::Function<GatedProduct> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const kernels::MaybeTensor& bias, const at::Tensor& operand,
                          kernels::Activation activation) {
    context->save_for_backward({x, operand});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    TORCH_CHECK(x.size(1) == 2 * weight.size(1), "[gated_product] expected x [R, ",
                2 * weight.size(1), "], received ", x.sizes());
    return product_of(kernels::gated_activation(x, activation), operand, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor g = gradients[0].contiguous(), &operand = saved[1],
                     x = saved[0].detach().requires_grad_();
    const auto activation =
        static_cast<kernels::Activation>(context->saved_data["activation"].toInt());
    const c10::AutoGradMode recorded(true);
    const at::Tensor inner = kernels::gated_activation(x, activation);
    const c10::AutoGradMode plain(false);
    variable_list result(5);
    if (context->needs_input_grad(1)) result[1] = weight_gradient(g, inner.detach(), operand);
    if (context->needs_input_grad(0))
      result[0] = torch::autograd::grad({inner}, {x}, {input_gradient(g, operand)})[0];
    if (context->needs_input_grad(2)) result[2] = kernels::bias_gradient(g);
    return result;
  }
};

bool is_trained(const Linear& linear, const at::Tensor& x) {
  return c10::GradMode::is_enabled() && x.requires_grad() && linear->weight.requires_grad() &&
         linear->adapters().empty();
}

}  // namespace

at::Tensor gated_product(Linear linear, const at::Tensor& x, const Rows& rows,
                         kernels::Activation activation) {
  if (!is_trained(linear, x)) return linear(kernels::gated_activation(x, activation), rows);
  return GatedProduct::apply(x.contiguous(), linear->weight, kernels::if_defined(linear->bias),
                             linear->operand(x.scalar_type()), activation);
}

}  // namespace hone
