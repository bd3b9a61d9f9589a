#include "tune/optim/adamw.h"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace hone {

AdamW::AdamW(std::vector<AdamWParameter> parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  for (const AdamWParameter& parameter : parameters_) {
    exp_avg_.push_back(at::zeros_like(parameter.value));
    exp_avg_sq_.push_back(at::zeros_like(parameter.value));
  }
}

void AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(options_.beta1, steps_), correction2 = 1 - std::pow(options_.beta2, steps_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    AdamWParameter& parameter = parameters_[i];
    if (!parameter.value.grad().defined()) continue;
    const at::Tensor gradient = parameter.value.grad() * gradient_scale;
    if (parameter.decays) parameter.value.mul_(1 - learning_rate * options_.weight_decay);
    exp_avg_[i].lerp_(gradient, 1 - options_.beta1);
    exp_avg_sq_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const at::Tensor denominator = exp_avg_sq_[i].sqrt().div_(std::sqrt(correction2)).add_(options_.eps);
    parameter.value.addcdiv_(exp_avg_[i], denominator, -learning_rate / correction1);
    if (parameter.shadow.defined()) parameter.shadow.copy_(parameter.value);
  }
}

StateDict AdamW::state() const {
  StateDict state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state["exp_avg." + parameters_[i].name] = exp_avg_[i];
    state["exp_avg_sq." + parameters_[i].name] = exp_avg_sq_[i];
  }
  state["step"] = at::scalar_tensor(steps_, at::kLong);
  return state;
}

void AdamW::load_state(const StateDict& state) {
  const auto find = [&](const std::string& name) -> const at::Tensor& {
    const auto found = state.find(name);
    if (found == state.end()) throw Error(ErrorKind::kModel, "optimizer state: \"" + name + "\" is missing; the checkpoint is of another model");
    return found->second;
  };
  const auto copy = [&](at::Tensor& to, const std::string& name) {
    const at::Tensor& from = find(name);
    if (from.sizes() != to.sizes()) {
      throw Error(ErrorKind::kModel, fmt::format("optimizer state: \"{}\" has {} values, the parameter has {}", name, from.numel(), to.numel()));
    }
    to.copy_(from);
  };
  for (size_t i = 0; i < parameters_.size(); ++i) {
    copy(exp_avg_[i], "exp_avg." + parameters_[i].name);
    copy(exp_avg_sq_[i], "exp_avg_sq." + parameters_[i].name);
  }
  steps_ = find("step").item<int64_t>();
}

double gradient_norm(const std::vector<AdamWParameter>& parameters) {
  double sum = 0;
  for (const AdamWParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) sum += parameter.value.grad().to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(sum);
}

}  // namespace hone
