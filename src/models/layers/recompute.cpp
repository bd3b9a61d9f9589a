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
  explicit HeldBlock(Block given) : block(std::move(given)) {}
  Block block;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static Variable forward(AutogradContext* context, const Variable& x, const Block& block) {
    context->save_for_backward({x});
    context->saved_data["block"] = c10::IValue::make_capsule(c10::make_intrusive<HeldBlock>(block));
    return block(x.detach());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto held =
        c10::static_intrusive_pointer_cast<HeldBlock>(context->saved_data["block"].toCapsule());
    const c10::AutoGradMode recorded(true);
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_();
    torch::autograd::backward({held->block(x)},
                              {gradients[0]});  // parameters add to their own gradients here
    return {x.grad(), Variable()};
  }
};

}  // namespace

at::Tensor recomputed(const Block& block, const at::Tensor& x) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return block(x);
  return Recomputed::apply(x, block);
}

}  // namespace hone
