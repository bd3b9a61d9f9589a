// Methods that add nothing: some of the network's own weights are trained, with the task's head.
#include <fmt/format.h>

#include "models/adapters/adapter.h"
#include "models/backbone.h"
#include "models/layers/norm.h"

namespace hone {
namespace {

struct NoOptions {
  template <typename Visit>
  void for_each(Visit&&) {}
  void check(const Config&) const {}
};

bool is_bias(const std::string& name) { return name == "bias" || name.ends_with(".bias"); }

ChosenAdapter read_bitfit(Config& section) {
  ChosenAdapter chosen;
  read_method_options<NoOptions>(section, chosen);
  chosen.trains = [](const OwnWeight& weight) { return is_bias(weight.name); };
  chosen.needs_full_base = true;
  return chosen;
}

ChosenAdapter read_head(Config& section) {
  ChosenAdapter chosen;
  read_method_options<NoOptions>(section, chosen);
  chosen.trains = [](const OwnWeight&) { return false; };
  chosen.trains_head_alone = true;
  chosen.needs_full_base = true;
  return chosen;
}

struct TopOptions {
  int64_t layers = 1;
  template <typename Visit>
  void for_each(Visit&& visit) {
    visit("layers", layers);
  }
  void check(const Config& section) const {
    if (layers < 1)
      throw section.error("layers", fmt::format("\"layers\" is {}; one layer at least is trained "
                                                "(the head alone: peft_type: head)",
                                                layers));
  }
};

std::string module_of(const std::string& weight) { return weight.substr(0, weight.rfind('.')); }

// What comes after the layers: a pooler, and a norm that is the network's own.
bool is_after_layers(const OwnWeight& weight) {
  const std::string prefix = weight.config.base_prefix + ".";
  const bool is_on_its_own = module_of(weight.name).find('.', prefix.size()) == std::string::npos;
  return weight.name.find(".pooler.") != std::string::npos ||
         (is_on_its_own && weight.module.as<LayerNormImpl>() != nullptr);
}

bool is_on_top(const OwnWeight& weight, int64_t layers) {
  const ModelConfig& config = weight.config;
  if (layers > config.num_layers)
    throw Error(ErrorKind::kUsage, fmt::format("\"layers\" is {}, but the model has {} layers",
                                               layers, config.num_layers));
  for (int64_t layer = config.num_layers - layers; layer < config.num_layers; ++layer) {
    const std::string name = config.base_prefix + "." + config.plan->layer_name(layer) + ".";
    if (weight.name.starts_with(name)) return true;
  }
  return is_after_layers(weight);
}

ChosenAdapter read_top_layers(Config& section) {
  ChosenAdapter chosen;
  const auto options = read_method_options<TopOptions>(section, chosen);
  chosen.trains = [options](const OwnWeight& weight) { return is_on_top(weight, options.layers); };
  chosen.needs_full_base = true;
  return chosen;
}

struct NormOptions {
  ModuleNames target_modules = {};  // none: all norms
  template <typename Visit>
  void for_each(Visit&& visit) {
    visit("target_modules", target_modules);
  }
  void check(const Config&) const {}
};

ChosenAdapter read_ln_tuning(Config& section) {
  ChosenAdapter chosen;
  const auto options = read_method_options<NormOptions>(section, chosen);
  chosen.layer_options.clear();  // target_modules are the method's targets themselves
  chosen.trains = [options](const OwnWeight& weight) {
    const ModuleNames& wanted = options.target_modules;
    return weight.module.as<LayerNormImpl>() != nullptr &&
           (wanted.is_empty() || wanted.matches(weight.path));
  };
  return chosen;
}

}  // namespace

// BitFit: Ben Zaken et al. 2022, https://arxiv.org/abs/2106.10199; the rate: the highest of those
// that their appendix searched for BERT.
AdapterInfo bitfit() {
  return {.name = "bitfit",
          .peft_type = "",
          .help = "the biases alone",
          .learning_rate = 1e-3,
          .read = read_bitfit};
}

AdapterInfo head() {
  return {.name = "head",
          .peft_type = "",
          .help = "the task's head alone",
          .learning_rate = 1e-3,
          .read = read_head};
}

AdapterInfo top_layers() {
  return {.name = "top_layers",
          .peft_type = "",
          .help = "the last layers of the network's own",
          .learning_rate = 5e-5,
          .read = read_top_layers};
}

// Zhao et al. 2023, https://arxiv.org/abs/2312.11420.
AdapterInfo ln_tuning() {
  return {.name = "ln_tuning",
          .peft_type = "LN_TUNING",
          .help = "the norms alone",
          .learning_rate = 1e-3,
          .read = read_ln_tuning};
}

}  // namespace hone
