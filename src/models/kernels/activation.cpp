#include "models/kernels/activation.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace hone::kernels {
namespace {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu: return at::gelu(x);
    case Activation::kGeluTanh: return at::gelu(x, "tanh");
    case Activation::kRelu: return at::relu(x);
    case Activation::kSilu: return at::silu(x);
    case Activation::kTanh: return at::tanh(x);
  }
  TORCH_CHECK(false, "[bias_activation] unknown activation ", static_cast<int>(activation));
}

}  // namespace

Activation activation_named(const std::string& hf_name) {
  static const std::map<std::string, Activation> kNames = {
      {"gelu", Activation::kGelu}, {"gelu_new", Activation::kGeluTanh}, {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu}, {"silu", Activation::kSilu},         {"swish", Activation::kSilu},
      {"tanh", Activation::kTanh}};
  const auto found = kNames.find(hf_name);
  if (found != kNames.end()) return found->second;
  std::vector<std::string> names;
  std::string known;
  for (const auto& [name, activation] : kNames) {
    names.push_back(name);
    known += (known.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::kModel, "unknown activation \"" + hf_name + "\"" + did_you_mean(hf_name, names) + "; known: " + known);
}

at::Tensor bias_activation_reference(const at::Tensor& x, const at::Tensor& bias, Activation activation) {
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  const at::Tensor sum = bias.defined() ? x.to(type) + bias.to(type) : x.to(type);
  return activate(sum, activation).to(x.scalar_type());
}

at::Tensor bias_activation(const at::Tensor& x, const at::Tensor& bias, Activation activation) {
  return bias_activation_reference(x, bias, activation);
}

}  // namespace hone::kernels
