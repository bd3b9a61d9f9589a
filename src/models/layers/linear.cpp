#include "models/layers/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/layers/bias.h"
#include "models/layers/initialise.h"
#include "models/lazy_zeros.h"

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

// The same of several layers whose parameters lie one after another; inputs are x, the weights, the biases.
struct JoinedProduct : torch::autograd::Function<JoinedProduct> {
  static Variable forward(AutogradContext* context, at::TensorList inputs, const at::Tensor& operand, const at::Tensor& bias) {
    context->save_for_backward({inputs[0], operand});
    std::vector<int64_t> rows;
    for (size_t i = 1; i <= inputs.size() / 2; ++i) rows.push_back(inputs[i].size(0));
    context->saved_data["rows"] = rows;
    at::Tensor y = at::mm(inputs[0], operand.t());
    add_bias(y, bias);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor g = gradients[0].contiguous();
    const std::vector<int64_t> rows = context->saved_data["rows"].toIntVector();
    const size_t count = rows.size();
    variable_list result(2 * count + 3);
    if (context->needs_input_grad(0)) result[0] = at::mm(g, saved[1]);
    bool needs_weight = false, needs_bias = false;
    for (size_t i = 0; i < count; ++i) {
      needs_weight |= context->needs_input_grad(1 + i);
      needs_bias |= context->needs_input_grad(1 + count + i);
    }
    const at::Tensor weight = needs_weight ? at::mm(g.t(), saved[0]).to(at::kFloat) : at::Tensor();
    const at::Tensor bias = needs_bias ? sum_rows(g) : at::Tensor();
    int64_t begin = 0;
    for (size_t i = 0; i < count; begin += rows[i++]) {
      if (context->needs_input_grad(1 + i)) result[1 + i] = weight.narrow(0, begin, rows[i]);
      if (context->needs_input_grad(1 + count + i)) result[1 + count + i] = bias.narrow(0, begin, rows[i]);
    }
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
  if (joined_ && precision != Precision::kBf16) joined_->shadow.reset();
  if (precision == Precision::kBf16) refresh_shadow();
}

void LinearImpl::refresh_shadow() {
  const c10::AutoGradMode no_grad(false);
  const auto options = weight.options().dtype(at::kBFloat16).requires_grad(false);
  if (joined_ && !joined_->shadow.defined()) joined_->shadow = at::empty(joined_->weight.sizes(), options);
  if (!shadow_.defined()) shadow_ = joined_ ? joined_->shadow.narrow(0, joined_begin_, weight.size(0)) : at::empty(weight.sizes(), options);
  shadow_.copy_(weight);
}

void LinearImpl::join(std::shared_ptr<JoinedMemory> memory, int64_t begin) {
  const c10::AutoGradMode no_grad(false);
  const auto move = [&](at::Tensor& parameter, const at::Tensor& to) {
    parameter.set_data(to.narrow(0, begin, parameter.size(0)));
  };
  move(weight, memory->weight);
  move(bias, memory->bias);
  joined_ = std::move(memory);
  joined_begin_ = begin;
}

JoinedLinear::JoinedLinear(std::vector<Linear> layers) : layers_(std::move(layers)), memory_(std::make_shared<JoinedMemory>()) {
  int64_t rows = 0;
  for (const Linear& layer : layers_) rows += layer->weight.size(0);
  memory_->weight = lazy_zeros({rows, layers_.at(0)->weight.size(1)});
  memory_->bias = at::zeros({rows});
  int64_t begin = 0;
  for (Linear& layer : layers_) {
    layer->join(memory_, begin);
    begin += layer->weight.size(0);
  }
}

at::Tensor JoinedLinear::forward(const at::Tensor& x) const {
  if (x.scalar_type() != at::kFloat && !memory_->shadow.defined()) {
    for (Linear layer : layers_) layer->refresh_shadow();
  }
  variable_list inputs = {x};
  for (const Linear& layer : layers_) inputs.push_back(layer->weight);
  for (const Linear& layer : layers_) inputs.push_back(layer->bias);
  return JoinedProduct::apply(at::TensorList(inputs), x.scalar_type() == at::kFloat ? memory_->weight : memory_->shadow, memory_->bias);
}

}  // namespace hone
