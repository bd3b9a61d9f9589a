#include "tasks/peft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "base/name_pattern.h"
#include "base/random.h"
#include "data/fingerprint.h"
#include "models/layers/linear.h"
#include "tasks/weights_fingerprint.h"

namespace hone {
namespace {

constexpr std::string_view kOfHead = "head.";

// Modules by the names that weights have: a head's stand at the top.
std::map<std::string, torch::nn::Module*> modules_of(Network& network) {
  std::map<std::string, torch::nn::Module*> modules;
  for (const auto& item : network.named_modules("", /*include_self=*/false)) {
    const bool is_of_head = item.key().starts_with(kOfHead);
    modules[is_of_head ? item.key().substr(kOfHead.size()) : item.key()] = item.value().get();
  }
  modules.erase("head");
  return modules;
}

// "a.b.c" is "a.b"'s, and so is "a.b" itself.
bool is_within(const std::string& name, const std::string& module) {
  return name == module || name.starts_with(module + ".");
}

bool is_within_any(const std::string& name, const std::vector<std::string>& modules) {
  return std::any_of(modules.begin(), modules.end(),
                     [&](const std::string& module) { return is_within(name, module); });
}

void add_once(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
}

// Modules with a weight that no checkpoint brought, and those of the head: by their first part.
std::vector<std::string> modules_without_base(Network& network,
                                              const std::vector<std::string>& fresh) {
  const std::string prefix = network.backbone().config().base_prefix + ".";
  std::vector<std::string> modules;
  for (const auto& [name, value] : network.weights()) {
    if (!name.starts_with(prefix) && !network.head().is_of_base())
      add_once(modules, name.substr(0, name.find('.')));
  }
  for (const std::string& name : fresh) add_once(modules, prefix + name.substr(0, name.rfind('.')));
  return modules;
}

std::vector<std::string> saved_modules(Network& network, const PeftOptions& options,
                                       const std::vector<std::string>& fresh,
                                       const std::map<std::string, torch::nn::Module*>& modules) {
  std::vector<std::string> saved = modules_without_base(network, fresh);
  for (const std::string& wanted : options.modules_to_save) {
    bool is_there = false;
    std::vector<std::string> known;
    for (const auto& [name, module] : modules) {
      known.push_back(name.substr(name.rfind('.') + 1));
      if (!is_end_of(wanted, name)) continue;
      is_there = true;
      if (!is_within_any(name, saved)) saved.push_back(name);
    }
    if (!is_there && !options.allows_idle_names)
      throw Error(ErrorKind::kUsage, options.where,
                  fmt::format("\"modules_to_save\": no module is called \"{}\"{}", wanted,
                              did_you_mean(wanted, known)));
  }
  return saved;
}

std::vector<std::string> meant_by(const ModuleNames& names,
                                  const std::vector<std::string>& targets) {
  std::vector<std::string> meant;
  std::copy_if(targets.begin(), targets.end(), std::back_inserter(meant),
               [&](const std::string& target) { return names.matches(target); });
  return meant;
}

void attach_adapters(const PeftOptions& options, const std::vector<std::string>& targets,
                     const std::map<std::string, torch::nn::Module*>& modules, uint64_t seed) {
  for (const std::string& name : targets) {
    auto* layer = modules.at(name)->as<LinearImpl>();
    const AdapterSite site{name, *layer, hash_bytes(name), seed};
    try {
      layer->attach(options.method.name, options.method.make(site));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUsage) throw;
      throw Error(ErrorKind::kUsage, options.where, error.message());
    }
  }
}

void freeze_rest(Network& network, const Adapted& adapted) {
  for (auto& [name, value] : network.weights()) {
    value.requires_grad_(adapted.is_of_adapter(name) ||
                         is_within_any(name, adapted.modules_to_save));
  }
}

void tell_adapted(const Network& network, const Adapted& adapted) {
  int64_t all = 0, trained = 0;
  for (const auto& [name, value] : network.weights()) {
    all += value.numel();
    trained += value.requires_grad() ? value.numel() : 0;
  }
  log_info("{} on {} layers; trained in full: {}; {} of {} parameters are trained ({:.2f} %)",
           adapted.peft_type, adapted.targets.size(),
           adapted.modules_to_save.empty()
               ? "nothing"
               : fmt::format("{}", fmt::join(adapted.modules_to_save, ", ")),
           trained, all, 100.0 * static_cast<double>(trained) / static_cast<double>(all));
}

StateDict frozen_weights(const Network& network) {
  StateDict frozen;
  for (const auto& [name, value] : network.weights()) {
    if (!value.requires_grad()) frozen.emplace(name, value.detach());
  }
  return frozen;
}

}  // namespace

PeftOptions PeftOptions::read(Config& section) {
  PeftOptions options{.method = read_method(section), .targets = Targets::read(section)};
  options.modules_to_save = section.get("modules_to_save", std::vector<std::string>{});
  options.where = section.where("peft_type");
  return options;
}

void PeftOptions::allow_idle_names() {
  allows_idle_names = true;
  targets.allow_idle_names();
}

Json Adapted::json() const {
  Json json = {{"peft_type", peft_type}, {"target_modules", targets}};
  json["modules_to_save"] = modules_to_save;
  json.update(options);
  return json;
}

std::string Adapted::target_of(const std::string& weight) const {
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const std::string& target) {
    return weight.starts_with(target + "." + method + ".");
  });
  return found == targets.end() ? "" : *found;
}

std::string Adapted::file_name(const std::string& weight) const {
  const std::string target = target_of(weight);
  const std::string name =
      target.empty() ? weight : target + weight.substr(target.size() + 1 + method.size());
  return "base_model.model." + name;
}

Adapted adapt(Network& network, const PeftOptions& options, const std::vector<std::string>& fresh,
              uint64_t seed) {
  const auto modules = modules_of(network);
  const std::string prefix = network.backbone().config().base_prefix;
  Adapted adapted{.method = options.method.name,
                  .peft_type = options.method.peft_type,
                  .options = options.method.options,
                  .modules_to_save = saved_modules(network, options, fresh, modules),
                  .base = options.base};
  std::vector<std::string> linear, others;
  for (const auto& [name, module] : modules) {
    const bool is_free = is_within(name, prefix) && !is_within_any(name, adapted.modules_to_save);
    (is_free && module->as<LinearImpl>() != nullptr ? linear : others).push_back(name);
  }
  adapted.targets = options.targets.among(linear, others);
  for (const auto& [key, names] : options.method.layer_options)
    adapted.options[key] = meant_by(names, adapted.targets);
  attach_adapters(options, adapted.targets, modules, seed);
  freeze_rest(network, adapted);
  adapted.base_weights = weights_fingerprint(frozen_weights(network));
  tell_adapted(network, adapted);
  return adapted;
}

void merge_adapters(Network& network) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* layer = module->as<LinearImpl>()) layer->merge_adapters();
  }
}

}  // namespace hone
