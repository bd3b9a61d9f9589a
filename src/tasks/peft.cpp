#include "tasks/peft.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "base/name_pattern.h"
#include "base/random.h"
#include "data/fingerprint.h"
#include "models/adapters/bottleneck.h"
#include "models/adapters/prefix.h"
#include "models/adapters/soft_prompt.h"
#include "models/layers/encoder.h"
#include "models/layers/key_value_cache.h"
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

// "a.b.c" is in modules whose name ends with "b".
bool is_within_end(const std::string& name, const std::string& end) {
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    if (is_end_of(end, name.substr(0, dot))) return true;
  }
  return is_end_of(end, name);
}

bool is_within_any(const std::string& name, const std::vector<std::string>& modules) {
  return std::any_of(modules.begin(), modules.end(),
                     [&](const std::string& module) { return is_within(name, module); });
}

// As the family's checkpoints, and so PEFT, call a module.
std::string bare_name(const std::string& name, const ModelConfig& config) {
  const std::string prefix = config.base_prefix + ".";
  return config.is_bare && name.starts_with(prefix) ? name.substr(prefix.size()) : name;
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

// What the caller's options are to blame for is told at their place.
template <typename Attach>
void at_place(const PeftOptions& options, Attach attach) {
  try {
    attach();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage || !error.where().file.empty()) throw;
    throw Error(ErrorKind::kUsage, options.where, error.message());
  }
}

using Modules = std::map<std::string, torch::nn::Module*>;

// A linear layer of the backbone that is not trained in full.
bool is_free_layer(const std::string& name, const torch::nn::Module& module,
                   const std::string& prefix, const Adapted& adapted) {
  return is_within(name, prefix) && !is_within_any(name, adapted.modules_to_save) &&
         module.as<LinearImpl>() != nullptr;
}

// Linear layers of the backbone that are not trained in full. Options and files know them by their
// bare names.
void attach_to_layers(const PeftOptions& options, const Modules& modules, const ModelConfig& config,
                      uint64_t seed, Adapted& adapted) {
  std::vector<std::string> linear, others;
  std::map<std::string, std::string> full;
  for (const auto& [name, module] : modules) {
    const bool is_free = is_free_layer(name, *module, config.base_prefix, adapted);
    const std::string bare = bare_name(name, config);
    (is_free ? linear : others).push_back(bare);
    if (is_free) full[bare] = name;
  }
  const std::vector<std::string> targets = options.targets.among(linear, others);
  adapted.names = {"." + options.method.name, "", "base_model.model."};
  for (const auto& [key, names] : options.method.layer_options)
    adapted.options[key] = adapted.saved_options[key] = meant_by(names, targets);
  for (const std::string& bare : targets) {
    const std::string& name = full.at(bare);
    adapted.targets.push_back(name);
    auto* layer = modules.at(name)->as<LinearImpl>();
    const AdapterSite site{bare, *layer, hash_bytes(name), seed};
    layer->attach(options.method.name, options.method.make(site));
  }
}

EncoderBlockImpl& block_named(const std::string& name, const Modules& modules,
                              const std::string& method) {
  const auto found = modules.find(name);
  auto* block = found == modules.end() ? nullptr : found->second->as<EncoderBlockImpl>();
  if (block == nullptr)
    throw Error(ErrorKind::kUsage,
                fmt::format("{} goes into a Transformer's blocks, and {} is none", method, name));
  return *block;
}

// Blocks that layers share get one, for the first of the layers.
void attach_to_blocks(const PeftOptions& options, const Modules& modules, const ModelConfig& config,
                      uint64_t seed, Adapted& adapted) {
  const std::string& method = options.method.name;
  adapted.names = {".adapters." + method, ".adapters." + method, ""};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string name = config.base_prefix + "." + config.plan->layer_name(layer);
    EncoderBlockImpl& block = block_named(name, modules, method);
    for (const BlockPart part : {BlockPart::kAttention, BlockPart::kFeedForward}) {
      const std::string place = name + "." + block.place_of_adapter(part);
      if (std::find(adapted.targets.begin(), adapted.targets.end(), place) != adapted.targets.end())
        continue;
      const auto adapter = options.method.make_for_block(
          {place, part == BlockPart::kAttention, layer, block.width(), hash_bytes(place), seed});
      if (!adapter) continue;
      block.attach(part, method, adapter);
      adapted.targets.push_back(place);
    }
  }
  if (adapted.targets.empty())
    throw Error(ErrorKind::kUsage, "\"leave_out\" names every layer: no adapter is left");
}

// Positions that tokens of a sequence have must be left.
void require_positions(const PeftOptions& options, const ModelConfig& config) {
  if (options.positions_taken() + 2 <= config.max_positions) return;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("\"num_virtual_tokens\" is {}, but the model has {} positions: none would "
                  "be left for tokens",
                  options.positions_taken(), config.max_positions));
}

// Of the text that the option `key` gives; none where it gives none, or where nobody needs them.
// Error(kUsage) for a text without tokens, which weights cannot begin as.
std::vector<int32_t> ids_of(const char* key, const std::string& text, const Tokenizer* tokenizer) {
  if (text.empty() || tokenizer == nullptr) return {};
  const auto tokens = tokenizer->encode(text);
  if (tokens.ids.empty())
    throw Error(ErrorKind::kUsage,
                fmt::format("\"{}\" is \"{}\", in which the tokenizer finds no token to begin "
                            "with: name a text with words",
                            key, text));
  return tokenizer->post_process(tokens).ids;
}

std::vector<int64_t> over_and_over(const std::vector<int32_t>& ids, int64_t length) {
  std::vector<int64_t> longer;
  for (int64_t i = 0; i < length; ++i) longer.push_back(ids[static_cast<size_t>(i) % ids.size()]);
  return longer;
}

// What the network itself has of a text, in the form of a prefix [P, layers * 2 * width].
at::Tensor keys_and_values_of(const std::vector<int64_t>& ids, Backbone& backbone,
                              const KeyValueShape& shape) {
  const c10::AutoGradMode no_grad(false);
  const auto length = static_cast<int64_t>(ids.size());
  Packed text;
  text.ids = at::tensor(ids, at::kLong);
  text.positions = at::arange(length, at::kLong);
  text.segments = text.keys = at::zeros_like(text.ids);
  text.cu_seqlens = at::tensor({int64_t{0}, length}, at::kInt);
  text.max_len = length;
  backbone.eval();
  KeyValueCache cache(shape.layers);
  backbone.forward({&text, 1}, {.cache = &cache});
  std::vector<at::Tensor> parts;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    const KeyValueCache::View all = cache.all(layer);
    for (const at::Tensor& one : {all.k, all.v})
      parts.push_back(one.slice(0, 0, length).reshape({length, shape.width()}));
  }
  return at::cat(parts, 1);
}

void attach_prefix(const PeftOptions& options, Network& network, const Tokenizer* tokenizer,
                   uint64_t seed, Adapted& adapted) {
  Backbone& backbone = network.backbone();
  const ModelConfig& config = backbone.config();
  const std::optional<KeyValueShape> shape = backbone.prefix_shape();
  if (!shape && config.encoder_decoder)
    throw Error(
        ErrorKind::kUsage,
        fmt::format("prefix_tuning is for networks of one stream; {} has two", config.model_type));
  if (!shape)
    throw Error(ErrorKind::kUsage,
                fmt::format("prefix_tuning needs attention to every token by content and position "
                            "alone; {} has windows or depends on distances",
                            config.model_type));
  require_positions(options, config);
  const auto prefix = std::make_shared<Prefix>(*options.method.prefix, *shape, mix(seed, 17));
  const std::vector<int32_t> text =
      ids_of("prefix_init_text", options.method.prefix->init_text, tokenizer);
  if (!text.empty())
    prefix->begin_as(keys_and_values_of(over_and_over(text, prefix->length()), backbone, *shape));
  backbone.set_prefix(prefix);
  adapted.targets = {config.base_prefix};
  adapted.names = {".prompt_encoder", "", "base_model.", "prompt_embeddings"};
  Json& saved = adapted.saved_options;
  if (saved["encoder_hidden_size"] == 0) saved["encoder_hidden_size"] = shape->width();
  saved["token_dim"] = shape->width();
  saved["num_layers"] = shape->layers;
  saved["num_attention_heads"] = shape->heads;
  saved["num_transformer_submodules"] = 1;
}

void attach_prompt(const PeftOptions& options, Network& network, const Tokenizer* tokenizer,
                   uint64_t seed, Adapted& adapted) {
  Backbone& backbone = network.backbone();
  const ModelConfig& config = backbone.config();
  if (!backbone.takes_prompt())
    throw Error(
        ErrorKind::kUsage,
        fmt::format("prompt_tuning is for networks of one stream; {} has two", config.model_type));
  require_positions(options, config);
  const SoftPromptOptions& prompt = *options.method.prompt;
  backbone.set_prompt(std::make_shared<SoftPrompt>(
      prompt, backbone.word_table(), ids_of("prompt_tuning_init_text", prompt.init_text, tokenizer),
      mix(seed, 17)));
  adapted.targets = {config.base_prefix};
  adapted.names = {".prompt_encoder", "", "base_model.", "prompt_embeddings"};
  Json& saved = adapted.saved_options;
  saved["token_dim"] = backbone.embedding_width();
  saved["num_layers"] = config.num_layers;
  saved["num_transformer_submodules"] = 1;
}

// Weights of the backbone's own. Those of PEFT's LN_TUNING are a copy of whole modules.
void choose_own(const PeftOptions& options, const Network& network, const Modules& modules,
                const ModelConfig& config, Adapted& adapted) {
  for (const auto& [name, value] : network.weights()) {
    const std::string module = name.substr(0, name.rfind('.'));
    const bool is_free =
        is_within(name, config.base_prefix) && !is_within_any(name, adapted.modules_to_save);
    if (!is_free) continue;
    const OwnWeight weight{name, *modules.at(module), config, bare_name(module, config)};
    if (!options.method.trains(weight)) continue;
    if (options.method.peft_type.empty())
      adapted.own.push_back(name);
    else
      add_once(adapted.targets, module);
  }
  adapted.names = {"", ".ln_tuning_layers", "base_model.model."};
  if (adapted.own.empty() && adapted.targets.empty() && !options.method.trains_head_alone)
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: the model has no weight of this kind{}", options.method.name,
                            options.method.peft_type.empty() ? "" : " by these target_modules"));
}

void attach(const PeftOptions& options, Network& network, const Modules& modules,
            const Tokenizer* tokenizer, uint64_t seed, Adapted& adapted) {
  const ModelConfig& config = network.backbone().config();
  if (options.method.make)
    attach_to_layers(options, modules, config, seed, adapted);
  else if (options.method.make_for_block)
    attach_to_blocks(options, modules, config, seed, adapted);
  else if (options.method.prefix)
    attach_prefix(options, network, tokenizer, seed, adapted);
  else if (options.method.prompt)
    attach_prompt(options, network, tokenizer, seed, adapted);
  else
    choose_own(options, network, modules, config, adapted);
}

void freeze_rest(Network& network, const Adapted& adapted) {
  for (auto& [name, value] : network.weights()) {
    value.requires_grad_(
        adapted.is_of_adapter(name) || is_within_any(name, adapted.modules_to_save) ||
        std::find(adapted.own.begin(), adapted.own.end(), name) != adapted.own.end());
  }
}

// PEFT trains a copy of such a module, beside which the output stays tied to the old one: its files
// could not tell which of the two was meant.
void refuse_tied_table(const Network& network, const PeftOptions& options, const Adapted& adapted) {
  const ModelConfig& config = network.backbone().config();
  if (!network.head().is_of_base() || !config.causal_lm || !config.causal_lm->is_tied) return;
  for (const auto& [name, value] : network.weights()) {
    if (value.is_same(network.backbone().word_table()) &&
        is_within_any(name, adapted.modules_to_save))
      throw Error(ErrorKind::kUsage, options.where,
                  fmt::format("\"modules_to_save\" names the table of words ({}), which is this "
                              "model's output too (tie_word_embeddings): an adapter's folder holds "
                              "no tied weight",
                              name));
  }
}

std::string called(const Adapted& adapted) {
  return adapted.peft_type.empty() ? adapted.method : adapted.peft_type;
}

void tell_adapted(const Network& network, const Adapted& adapted) {
  int64_t all = 0, trained = 0;
  for (const auto& [name, value] : network.weights()) {
    all += value.numel();
    trained += value.requires_grad() ? value.numel() : 0;
  }
  std::string where = called(adapted);
  if (!adapted.targets.empty()) where += fmt::format(" on {} layers", adapted.targets.size());
  if (!adapted.own.empty()) where += fmt::format(": {} weights", adapted.own.size());
  log_info("{}; trained in full: {}; {} of {} parameters are trained ({:.2f} %)", where,
           adapted.modules_to_save.empty()
               ? "nothing"
               : fmt::format("{}", fmt::join(adapted.modules_to_save, ", ")),
           trained, all, 100.0 * static_cast<double>(trained) / static_cast<double>(all));
}

// Of what the adapter's folder leaves to the base model.
WeightHashes hashes_of_base(const Network& network, const Adapted& adapted,
                            const WeightHashes* known) {
  WeightHashes hashes;
  for (const auto& [name, value] : network.weights()) {
    if (is_within_any(name, adapted.modules_to_save)) continue;
    const bool is_known = known != nullptr && known->contains(name);
    hashes.emplace(name, is_known ? known->at(name) : hash_of_values(value));
  }
  return hashes;
}

// A module of which the checkpoint lacks a part is trained in full: its weight must be there.
void refuse_frozen_module(const std::string& name, const LinearImpl& layer) {
  if (!layer.frozen_weight().is_defined()) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("the checkpoint lacks a part of {}, which is trained in full: that needs "
                          "peft.base: full",
                          name));
}

// Keys of PEFT's that ask for what is so anyway. Error(kUsage) at their place for what is not.
void read_settled_keys(Config& section) {
  const std::string bias = section.has("bias") ? section.get("bias", "none") : "none";
  if (bias != "none")
    throw section.error("bias",
                        fmt::format("\"bias\" is {}; no bias is trained beside an adapter (none). "
                                    "peft_type: bitfit trains the biases alone",
                                    bias));
  if (section.has("inference_mode") && section.get("inference_mode", false))
    throw section.error("inference_mode",
                        "\"inference_mode\" is true: nothing would be trained. Leave it out; hone "
                        "predict answers with an adapter");
  if (section.has("fan_in_fan_out")) section.get("fan_in_fan_out", false);  // the family says it
}

}  // namespace

BaseForm read_base_form(Config& section) {
  BaseForm form;
  form.weights = *weight_form_named(section.choice("base", "full", weight_form_names()));
  if (form.weights == WeightForm::kNf4)
    form.double_quant = section.get("double_quant", form.double_quant);
  else if (section.has("double_quant"))
    throw section.error("double_quant", "\"double_quant\" goes with base: nf4");
  return form;
}

PeftOptions PeftOptions::read(Config& section) {
  PeftOptions options{.method = read_method(section)};
  read_settled_keys(section);
  if (section.has("task_type")) options.task_type = section.get("task_type", "");
  options.task_type_where = section.where("task_type");
  if (options.method.make) options.targets = Targets::read(section, options.method.usual_targets);
  options.modules_to_save = section.get("modules_to_save", std::vector<std::string>{});
  options.where = section.where("peft_type");
  options.base_form = read_base_form(section);
  if (options.method.needs_full_base && !options.base_form.is_full())
    throw section.error("base", fmt::format("{} changes the base model's own weights, or saves the "
                                            "whole model: they must be there in full (base: full)",
                                            options.method.name));
  return options;
}

void PeftOptions::allow_idle_names() {
  allows_idle_names = true;
  targets.allow_idle_names();
}

bool PeftOptions::trains_in_full(const std::string& name) const {
  return std::any_of(modules_to_save.begin(), modules_to_save.end(),
                     [&](const std::string& wanted) { return is_within_end(name, wanted); });
}

int64_t PeftOptions::positions_taken() const {
  if (method.prompt) return method.prompt->num_virtual_tokens;
  return method.prefix ? method.prefix->num_virtual_tokens : 0;
}

Json Adapted::json() const {
  Json json = {{"peft_type", called(*this)}, {"target_modules", targets}};
  json["modules_to_save"] = modules_to_save;
  json.update(options);
  if (base_form.is_full()) return json;
  json.update(base_form.json());
  json["base_weights"] = base_weights;  // which the network does not have any more
  return json;
}

Json Adapted::saved_json() const {
  Json json = {{"peft_type", peft_type}};
  json.update(saved_options);
  for (const auto& [key, modules] :
       {std::pair("target_modules", &targets), std::pair("modules_to_save", &modules_to_save)}) {
    json[key] = Json::array();
    for (const std::string& module : *modules) json[key].push_back(names.bare(module));
  }
  if (!names.whole_in_file.empty()) json.erase("target_modules");
  return json;
}

std::string Adapted::target_of(const std::string& weight) const {
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const std::string& target) {
    return weight.starts_with(target + names.below + ".");
  });
  return found == targets.end() ? "" : *found;
}

std::string Adapted::file_name(const std::string& weight) const {
  const std::string target = target_of(weight);
  if (target.empty()) return names.before_in_file + names.bare(weight);
  if (!names.whole_in_file.empty()) return names.whole_in_file;
  return names.before_in_file + names.bare(target) + names.below_in_file +
         weight.substr(target.size() + names.below.size());
}

// Before adapters are attached, which may ask for the values that products will read.
void keep_base_in(const BaseForm& form, Network& network, Adapted& adapted) {
  adapted.base_form = form;
  if (form.is_full()) return;
  int64_t before = 0, after = 0;
  for (const auto& [name, module] : modules_of(network)) {
    auto* layer = module->as<LinearImpl>();
    if (layer == nullptr || layer->shares_weight() || !layer->owns_weight() ||
        adapted.is_of_adapter(name + ".weight"))
      continue;
    if (!is_free_layer(name, *module, network.backbone().config().base_prefix, adapted)) {
      refuse_frozen_module(name, *layer);
      continue;
    }
    before += static_cast<int64_t>(layer->weight.nbytes());
    if (!layer->frozen_weight().is_defined()) layer->freeze_weight(form);
    after += layer->frozen_weight().bytes();
  }
  if (after == 0) return;
  log_info("linear layers of the base model are kept in {}: {:.1f} MB in place of {:.1f}",
           form.text(), static_cast<double>(after) / 1e6, static_cast<double>(before) / 1e6);
}

std::function<void(const std::string& weight)> keep_base_while_loading(const Network& network,
                                                                       const PeftOptions& options,
                                                                       WeightHashes& hashes) {
  if (options.base_form.is_full()) return nullptr;
  std::map<std::string, LinearImpl*> layers;
  for (const auto& item : network.named_modules("", /*include_self=*/false)) {
    auto* layer = item.value()->as<LinearImpl>();
    const bool is_of_base = is_within(item.key(), network.backbone().config().base_prefix);
    if (layer != nullptr && is_of_base && !options.trains_in_full(item.key()) &&
        layer->owns_weight())
      layers.emplace(item.key() + ".weight", layer);
  }
  return
      [layers = std::move(layers), &hashes, form = options.base_form](const std::string& weight) {
        const auto found = layers.find(weight);
        if (found == layers.end()) return;
        hashes.emplace(weight, hash_of_values(found->second->weight));
        found->second->freeze_weight(form);
      };
}

Adapted adapt(Network& network, const PeftOptions& options, const AdaptInputs& inputs) {
  const Modules modules = modules_of(network);
  Adapted adapted{.method = options.method.name,
                  .peft_type = options.method.peft_type,
                  .options = options.method.options,
                  .saved_options = options.method.saved_options,
                  .rates = options.method.rates,
                  .modules_to_save = saved_modules(network, options, inputs.fresh, modules),
                  .base = options.base};
  adapted.base_hashes = hashes_of_base(network, adapted, inputs.known);
  adapted.base_weights = weights_fingerprint(adapted.base_hashes);
  keep_base_in(options.base_form, network, adapted);
  at_place(options,
           [&] { attach(options, network, modules, inputs.tokenizer, inputs.seed, adapted); });
  const ModelConfig& config = network.backbone().config();
  if (config.is_bare && !adapted.names.before_in_file.empty())
    adapted.names.dropped = config.base_prefix + ".";
  refuse_tied_table(network, options, adapted);
  freeze_rest(network, adapted);
  if (network.trained_weights().empty())
    throw Error(ErrorKind::kUsage, options.where,
                fmt::format("{}: nothing would be left to train; the task has no head of its own",
                            called(adapted)));
  tell_adapted(network, adapted);
  return adapted;
}

void merge_adapters(Network& network) {
  if (network.backbone().positions_taken() > 0)
    throw Error(ErrorKind::kUsage,
                "a prefix or virtual tokens stand before the text: they cannot be added into the "
                "weights of the model");
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (module->as<Bottleneck>() != nullptr)
      throw Error(ErrorKind::kUsage,
                  "a bottleneck adapter has an activation between its layers: it cannot be added "
                  "into the weights of the model");
    auto* layer = module->as<LinearImpl>();
    if (layer == nullptr || layer->adapters().empty()) continue;
    if (layer->frozen_weight().is_defined())
      throw Error(ErrorKind::kUsage,
                  "the base model is not kept in full: an adapter is added into the full weights "
                  "alone (hone merge reads them again)");
    layer->merge_adapters();
  }
}

std::vector<std::pair<std::string, std::shared_ptr<Adapter>>> adapters_of(const Network& network) {
  std::vector<std::pair<std::string, std::shared_ptr<Adapter>>> all;
  for (const auto& item : network.named_modules("", /*include_self=*/false)) {
    const auto* layer = item.value()->as<LinearImpl>();
    if (layer == nullptr) continue;
    for (const auto& [name, adapter] : layer->adapters()) all.emplace_back(item.key(), adapter);
  }
  return all;
}

StateDict saved_weights(const Network& network, const Adapted& adapted) {
  StateDict weights;
  for (const auto& [module, adapter] : adapters_of(network)) {
    for (const auto& [name, value] : adapter->saved())
      weights.emplace(adapted.file_name(module + adapted.names.below + "." + name), value);
  }
  const Backbone& backbone = network.backbone();
  if (backbone.prefix())
    weights.emplace(adapted.names.whole_in_file, backbone.prefix()->flat().detach());
  const ModelConfig& config = backbone.config();
  for (const auto& [name, value] : network.trained_weights())  // an adapter's own are there already
    weights.emplace(adapted.file_name(name), config.stored(name, value).detach().contiguous());
  return weights;
}

}  // namespace hone
