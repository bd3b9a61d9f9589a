#include "tune/parameters.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/letters.h"
#include "models/layers/embedding.h"
#include "models/layers/linear.h"
#include "tune/machine.h"

namespace hone {

bool decays(const std::string& name) {
  const std::string lower = small_letters(name);
  const auto holds = [&](const char* word) { return lower.find(word) != std::string::npos; };
  // "norm" and "…_norm" as whole parts of the dotted name: bounded by dots on the right, by a dot
  // or an underscore on the left. GPT-2's are "ln_1", "ln_2" and "ln_f".
  const std::string dotted = "." + lower + ".";
  const bool is_norm =
      holds("layernorm") || holds("rmsnorm") || dotted.find(".norm.") != std::string::npos ||
      dotted.find("_norm.") != std::string::npos || dotted.find(".ln_") != std::string::npos;
  return !holds("bias") && !is_norm;
}

void place_for_training(Network& network, const TrainOptions& options, at::Device device,
                        Precision precision) {
  use_tf32(options.tf32, device);
  network.move_to(device);
  network.set_recompute(options.recompute);
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* linear = module->as<LinearImpl>()) linear->keep_shadow(!options.recompute);
  }
  network.set_precision(precision);
}

namespace {

// "bert.encoder.…" is called "encoder.…" too.
std::string short_name(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

class Names {
 public:
  explicit Names(Network& network) : prefix_(network.backbone().config().base_prefix + ".") {
    for (const auto& [name, value] : network.weights()) add_parts(short_name(name, prefix_));
  }

  bool match(const std::string& glob, const std::string& name) const {
    const auto matches = [&](const std::string& text) {
      return ::fnmatch(glob.c_str(), text.c_str(), 0) == 0;
    };
    return matches(name) || matches(short_name(name, prefix_));
  }

  Error no_match(const char* key, const Patterns& patterns, const std::string& glob,
                 const char* what) const {
    std::string advice = did_you_mean(glob, known_);
    if (advice.empty())
      advice = fmt::format("; its weights are those of {}", fmt::join(tops_, ", "));
    return Error(ErrorKind::kUsage, patterns.where,
                 fmt::format("\"{}\": no {} is called \"{}\"{}", key, what, glob, advice));
  }

 private:
  // "encoder.layer.0.weight" may be meant by "encoder.*", "encoder.layer.*", … or itself.
  void add_parts(const std::string& name) {
    for (size_t dot = 0; (dot = name.find('.', dot)) != std::string::npos; ++dot)
      add(known_, name.substr(0, dot) + ".*");
    add(known_, name);
    add(tops_, name.substr(0, name.find('.')) + ".*");
  }
  static void add(std::vector<std::string>& to, const std::string& name) {
    if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
  }

  std::string prefix_;
  std::vector<std::string> known_, tops_;
};

// What the layers keep of their weights, by weight.
struct Kept {
  at::Tensor shadow;
  bool in_bf16 = false;
  c10::intrusive_ptr<kernels::TableRows> rows;
};

std::map<const c10::TensorImpl*, Kept> kept_by_layers(Network& network) {
  std::map<const c10::TensorImpl*, Kept> kept;
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* linear = module->as<LinearImpl>(); linear != nullptr && linear->is_bf16()) {
      Kept& of_weight = kept[linear->weight.unsafeGetTensorImpl()];
      if (linear->keeps_shadow()) of_weight.shadow = linear->shadow();
      of_weight.in_bf16 = true;
    }
    if (auto* table = module->as<EmbeddingImpl>())
      kept[table->weight.unsafeGetTensorImpl()].rows = table->rows;
  }
  return kept;
}

}  // namespace

int64_t layer_of(const std::string& name) {
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    int64_t layer = 0;
    const char *begin = name.data() + dot + 1, *end = name.data() + name.size();
    const auto [after, error] = std::from_chars(begin, end, layer);
    if (error == std::errc() && after != end && *after == '.') return layer;
  }
  return -1;
}

// A table that a layer owns (T5's distances) is that layer's.
bool is_embedding(const Parameter& parameter) {
  return parameter.name.find("embedding") != std::string::npos ||
         (parameter.rows && layer_of(parameter.name) < 0);
}

namespace {

// The output layers train at the run's rate, the top layer at `decay` of it, the one below at
// decay², embeddings at the least (Clark et al. 2020, https://arxiv.org/abs/2003.10555). What has
// no number and is no embedding stands after the last layer.
void decay_by_layer(std::vector<Parameter>& parameters, const ModelConfig& model, double decay) {
  std::vector<std::pair<Parameter*, int64_t>> numbered;
  int64_t layers = 0;
  for (Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(model.base_prefix + ".")) continue;
    const int64_t layer = layer_of(parameter.name);
    const bool comes_first = is_embedding(parameter);
    if (layer >= 0 || comes_first) numbered.emplace_back(&parameter, comes_first ? -1 : layer);
    layers = std::max(layers, layer + 1);
  }
  for (const auto& [parameter, layer] : numbered)
    parameter->rate *= std::pow(decay, static_cast<double>(layers - layer));
}

void set_rates(std::vector<Parameter>& parameters, const Names& names,
               const TrainOptions& options) {
  std::vector<bool> is_taken(parameters.size());
  for (const ParameterGroup& group : options.groups) {
    const double factor =
        group.learning_rate > 0 ? group.learning_rate / options.learning_rate : group.factor;
    for (const std::string& glob : group.parameters.globs) {
      bool matched = false;
      for (size_t i = 0; i < parameters.size(); ++i) {
        Parameter& parameter = parameters[i];
        if (!names.match(glob, parameter.name)) continue;
        matched = true;
        if (is_taken[i]) continue;
        is_taken[i] = true;
        parameter.rate *= factor;
        if (group.weight_decay && decays(parameter.name))
          parameter.weight_decay = *group.weight_decay;
      }
      if (!matched) throw names.no_match("parameters", group.parameters, glob, "trained weight");
    }
  }
}

}  // namespace

std::vector<Frozen> freeze(Network& network, const TrainOptions& options) {
  const Names names(network);
  std::vector<Frozen> all;
  for (const std::string& glob : options.freeze.globs) {
    Frozen frozen{glob};
    for (auto& [name, value] : network.weights()) {
      if (!names.match(glob, name)) continue;
      value.requires_grad_(false);
      ++frozen.weights;
      frozen.numbers += value.numel();
    }
    if (frozen.weights == 0) throw names.no_match("freeze", options.freeze, glob, "weight");
    all.push_back(frozen);
  }
  if (!all.empty() && count_weights(network).trained == 0)
    throw Error(ErrorKind::kUsage, options.freeze.where,
                "\"freeze\" names every weight: nothing is left to train");
  return all;
}

std::vector<Parameter> trainable_parameters(Network& network, const TrainOptions& options) {
  const auto kept = kept_by_layers(network);
  std::vector<Parameter> parameters;
  for (const auto& [name, value] : network.weights()) {
    if (!value.requires_grad()) continue;
    Parameter parameter;
    parameter.name = name;
    parameter.value = value;
    parameter.weight_decay = decays(name) ? options.weight_decay : 0;
    if (const auto found = kept.find(value.unsafeGetTensorImpl()); found != kept.end()) {
      parameter.shadow = found->second.shadow;
      parameter.in_bf16 = found->second.in_bf16;
      parameter.rows = found->second.rows;
    }
    parameters.push_back(std::move(parameter));
  }
  if (options.layerwise_lr_decay < 1)
    decay_by_layer(parameters, network.backbone().config(), options.layerwise_lr_decay);
  set_rates(parameters, Names(network), options);
  return parameters;
}

WeightCount count_weights(const Network& network) {
  WeightCount count;
  for (const auto& [name, value] : network.weights()) {
    count.all += value.numel();
    count.trained += value.requires_grad() ? value.numel() : 0;
  }
  return count;
}

void clear_gradients(const std::vector<Parameter>& parameters) {
  for (const Parameter& parameter : parameters)
    at::Tensor(parameter.value).mutable_grad() = at::Tensor();
}

void load_weights(Network& network, const StateDict& weights, const std::string& source) {
  const c10::AutoGradMode no_grad(false);
  for (auto& [name, value] : network.trained_weights()) {
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
