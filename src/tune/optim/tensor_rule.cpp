#include "tune/optim/tensor_rule.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "tune/optim/pieces.h"

namespace hone {

double squares_of(const at::Tensor& x) {
  if (!x.is_cpu()) return x.to(at::kDouble).square().sum().item<double>();
  const at::Tensor plain = x.contiguous();
  std::vector<Piece> pieces;
  cut(0, 0, plain.numel(), pieces);
  return sum_of_squares(pieces, {plain});
}

ByTensor::ByTensor(std::vector<Parameter> parameters, std::unique_ptr<TensorRule> rule)
    : Optimizer(std::move(parameters)), rule_(std::move(rule)) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : this->parameters())
    slots_.push_back({rule_->start(parameter), 0});
}

void ByTensor::step(double learning_rate, double gradient_scale) {
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Parameter& parameter = parameters()[i];
    if (!parameter.value.grad().defined()) continue;
    const at::Tensor value = parameter.value.detach(),
                     gradient = parameter.value.grad().to(at::kFloat) * gradient_scale;
    rule_->update(value, gradient, slots_[i].state,
                  {.rate = learning_rate * parameter.rate,
                   .factor = parameter.rate,
                   .weight_decay = parameter.weight_decay,
                   .step = ++slots_[i].steps,
                   .in_bf16 = parameter.in_bf16});
    if (parameter.shadow.defined()) at::Tensor(parameter.shadow).copy_(value);
  }
}

StateDict ByTensor::state() const {
  StateDict state;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    for (const auto& [what, tensor] : slots_[i].state) state[what + "." + name] = tensor;
    state["steps." + name] = at::scalar_tensor(slots_[i].steps, at::kLong);
  }
  return state;
}

void ByTensor::load_state(const StateDict& state) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    for (const auto& [what, tensor] : slots_[i].state) copy_state(tensor, state, what + "." + name);
    slots_[i].steps = find_state(state, "steps." + name).item<int64_t>();
  }
}

int64_t ByTensor::state_bytes() const {
  int64_t bytes = 0;
  for (const Slot& slot : slots_) {
    for (const auto& [what, tensor] : slot.state) bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
}

}  // namespace hone
