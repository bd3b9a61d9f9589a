#include "models/layers/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
using Block = std::function<at::Tensor(const at::Tensor&)>;

struct HeldBlock : torch::CustomClassHolder {
  HeldBlock(Block given, variable_list read)
      : block(std::move(given)), parameters(std::move(read)) {}
  Block block;
  variable_list parameters;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  // inputs: x, then the parameters.
  static Variable forward(AutogradContext* context, at::TensorList inputs, const Block& block) {
    context->save_for_backward({inputs[0]});
    context->saved_data["block"] =
        c10::IValue::make_capsule(c10::make_intrusive<HeldBlock>(block, inputs.slice(1).vec()));
    return block(inputs[0].detach());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto held =
        c10::static_intrusive_pointer_cast<HeldBlock>(context->saved_data["block"].toCapsule());
    const c10::AutoGradMode recorded(true);
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_();
    if (!held->parameters.empty()) return gradients_of(context, *held, x, gradients[0]);
    torch::autograd::backward({held->block(x)}, {gradients[0]});
    return {x.grad(), Variable()};
  }

  static variable_list gradients_of(AutogradContext* context, const HeldBlock& held,
                                    const at::Tensor& x, const at::Tensor& upstream) {
    variable_list wanted = {x};
    std::vector<size_t> places = {0};
    for (size_t i = 0; i < held.parameters.size(); ++i) {
      if (!context->needs_input_grad(i + 1)) continue;
      wanted.push_back(held.parameters[i]);
      places.push_back(i + 1);
    }
    const variable_list found =
        torch::autograd::grad({held.block(x)}, wanted, {upstream}, /*retain_graph=*/std::nullopt,
                              /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result(held.parameters.size() + 2);
    for (size_t i = 0; i < found.size(); ++i) result[places[i]] = found[i];
    return result;
  }
};

}  // namespace

at::Tensor recomputed(const Block& block, const at::Tensor& x,
                      const std::vector<at::Tensor>& parameters) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return block(x);
  variable_list inputs = {x};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  return Recomputed::apply(at::TensorList(inputs), block);
}

}  // namespace hone
