#include "tasks/shared_base.h"

#include <map>

#include "models/layers/linear.h"

namespace hone {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

Tensors tensors_of(const Network& network) {
  Tensors tensors;
  for (const auto& [name, value] : network.weights()) tensors.emplace(name, value);
  return tensors;
}

using Layers = std::map<std::string, LinearImpl*>;

// Those whose weight is their own, by their names in the backbone.
Layers layers_of(const Network& network) {
  Layers layers;
  for (const auto& item : network.named_modules("", /*include_self=*/false)) {
    auto* layer = item.value()->as<LinearImpl>();
    if (layer != nullptr && layer->owns_weight()) layers.emplace(item.key(), layer);
  }
  return layers;
}

// Without layers of which others that are joined with them are not among the weights.
Layers shareable_layers(const Layers& layers, const std::set<std::string>& weights) {
  std::map<const JoinedMemory*, int64_t> rows;
  const auto is_among = [&](const std::string& name) { return weights.contains(name + ".weight"); };
  for (const auto& [name, layer] : layers) {
    if (is_among(name) && layer->joined_memory() != nullptr)
      rows[layer->joined_memory()] += layer->weight.size(0);
  }
  Layers shareable;
  for (const auto& [name, layer] : layers) {
    const JoinedMemory* joined = layer->joined_memory();
    if (is_among(name) && (joined == nullptr || rows.at(joined) == joined->weight.size(0)))
      shareable.emplace(name, layer);
  }
  return shareable;
}

}  // namespace

std::set<std::string> weights_in_use(const Network& network, const BaseInUse& base) {
  const Tensors others = tensors_of(base.network);
  std::set<std::string> names;
  for (const auto& [name, value] : network.weights()) {
    const auto other = others.find(name);
    if (base.adapted.base_hashes.contains(name) && other != others.end() &&
        other->second.sizes() == value.sizes() && !other->second.requires_grad())
      names.insert(name);
  }
  return names;
}

std::set<std::string> share_base(Network& network, const std::set<std::string>& weights,
                                 const BaseInUse& base) {
  std::set<std::string> left;
  Tensors own = tensors_of(network);
  for (const std::string& name : weights) {
    if (!own.at(name).requires_grad()) left.insert(name);
  }
  const Layers others = layers_of(base.network);
  for (const auto& [name, layer] : shareable_layers(layers_of(network), left)) {
    layer->share(*others.at(name));
    left.erase(name + ".weight");
    left.erase(name + ".bias");
  }
  const Tensors theirs = tensors_of(base.network);
  const Layers layers = layers_of(network);
  for (auto name = left.begin(); name != left.end();) {
    const bool is_of_layer = layers.contains(name->substr(0, name->rfind('.')));
    if (!is_of_layer) own.at(*name).set_data(theirs.at(*name).detach());
    name = is_of_layer ? std::next(name) : left.erase(name);
  }
  return left;
}

}  // namespace hone
