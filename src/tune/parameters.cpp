#include "tune/parameters.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "models/layers/linear.h"

namespace hone {

bool decays(const std::string& name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto holds = [&](const char* word) { return lower.find(word) != std::string::npos; };
  // "norm" and "…_norm" as whole parts of the dotted name: bounded by dots on the right, by a dot
  // or an underscore on the left.
  const std::string dotted = "." + lower + ".";
  const bool is_norm = holds("layernorm") || holds("rmsnorm") ||
                       dotted.find(".norm.") != std::string::npos ||
                       dotted.find("_norm.") != std::string::npos;
  return !holds("bias") && !is_norm;
}

std::vector<AdamWParameter> trainable_parameters(Network& network) {
  std::map<const c10::TensorImpl*, at::Tensor> shadows;  // by master
  for (const auto& module : network.modules(/*include_self=*/false)) {
    auto* linear = module->as<LinearImpl>();
    if (linear != nullptr && linear->shadow().defined())
      shadows[linear->weight.unsafeGetTensorImpl()] = linear->shadow();
  }
  std::vector<AdamWParameter> parameters;
  for (const auto& [name, value] : network.weights()) {
    if (!value.requires_grad()) continue;
    const auto shadow = shadows.find(value.unsafeGetTensorImpl());
    parameters.push_back(
        {name, value, shadow == shadows.end() ? at::Tensor() : shadow->second, decays(name)});
  }
  return parameters;
}

void clear_gradients(const std::vector<AdamWParameter>& parameters) {
  for (const AdamWParameter& parameter : parameters)
    at::Tensor(parameter.value).mutable_grad() = at::Tensor();
}

StateDict weights_of(const Network& network) {
  StateDict weights;
  for (const auto& [name, value] : network.weights()) weights[name] = value.detach();
  return weights;
}

void load_weights(Network& network, const StateDict& weights, const std::string& source) {
  const c10::AutoGradMode no_grad(false);
  for (auto& [name, value] : network.weights()) {
    const auto found = weights.find(name);
    if (found == weights.end())
      throw Error(ErrorKind::kModel, Where{source},
                  fmt::format("\"{}\" is missing; the checkpoint is of another model", name));
    if (found->second.sizes() != value.sizes()) {
      throw Error(
          ErrorKind::kModel, Where{source},
          fmt::format(
              "\"{}\" has {} values, the model's has {}; the checkpoint is of another model", name,
              found->second.numel(), value.numel()));
    }
    value.copy_(found->second);
  }
  network.refresh_shadows();
}

}  // namespace hone
