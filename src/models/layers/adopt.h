// Registers a layer under a checkpoint's dotted name: containers without content are made for the
// parts before the last.
#pragma once

#include <torch/nn/module.h>

#include <string>

namespace hone {

// adopt(*this, "attention.output.dense", Linear(…)): afterwards named_parameters() lists
// "attention.output.dense.weight".
template <typename Holder>
Holder adopt(torch::nn::Module& parent, const std::string& path, Holder child) {
  torch::nn::Module* at = &parent;
  size_t begin = 0;
  for (size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const std::string name = path.substr(begin, dot - begin);
    const auto children = at->named_children();
    at = children.contains(name)
             ? children[name].get()
             : at->register_module(name, std::make_shared<torch::nn::Module>()).get();
  }
  at->register_module(path.substr(begin), child);
  return child;
}

}  // namespace hone
