// Registers a layer under a checkpoint's dotted name: containers without content are made for the
// parts before the last.
#pragma once

#include <torch/nn/module.h>

#include <string>

namespace hone {

// The module below `parent` of this dotted name, made where it is not there.
inline torch::nn::Module& container(torch::nn::Module& parent, const std::string& path) {
  const size_t dot = path.find('.');
  const std::string name = path.substr(0, dot);
  const auto children = parent.named_children();
  torch::nn::Module& child =
      children.contains(name)
          ? *children[name]
          : *parent.register_module(name, std::make_shared<torch::nn::Module>());
  return dot == std::string::npos ? child : container(child, path.substr(dot + 1));
}

// adopt(*this, "attention.output.dense", Linear(…)): afterwards named_parameters() lists
// "attention.output.dense.weight".
template <typename Holder>
Holder adopt(torch::nn::Module& parent, const std::string& path, Holder child) {
  const size_t dot = path.rfind('.');
  if (dot == std::string::npos)
    parent.register_module(path, child);
  else
    container(parent, path.substr(0, dot)).register_module(path.substr(dot + 1), child);
  return child;
}

// The same for a weight: adopt_weight(*this, "cls.predictions.bias", at::zeros({V})).
inline at::Tensor adopt_weight(torch::nn::Module& parent, const std::string& path,
                               const at::Tensor& value) {
  const size_t dot = path.rfind('.');
  if (dot == std::string::npos) return parent.register_parameter(path, value);
  return container(parent, path.substr(0, dot)).register_parameter(path.substr(dot + 1), value);
}

}  // namespace hone
