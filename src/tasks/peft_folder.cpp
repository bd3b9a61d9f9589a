#include "tasks/peft_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/hub.h"
#include "base/letters.h"
#include "base/log.h"
#include "models/weights.h"
#include "tasks/bottleneck_folder.h"
#include "tasks/manifest.h"
#include "tasks/pretrained.h"

namespace hone {
namespace {

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kAdapterWeights = "adapter_model.safetensors";
constexpr const char* kPickledAdapter = "adapter_model.bin";
constexpr const char* kBaseModel = "base_model_name_or_path";
constexpr const char* kBaseOfLibrary = "model_name";  // of the adapters library

// Keys that say how an adapter was begun, or nothing about its weights.
constexpr const char* kAsideKeys[] = {
    kBaseModel,         "auto_mapping",   "revision",          "task_type",
    "inference_mode",   "peft_version",   "megatron_core",     "loftq_config",
    "runtime_config",   "bias",           "init_lora_weights", "qalora_group_size",
    "init_ia3_weights", "fan_in_fan_out", "eva_config",        "corda_config",
    "lora_ga_config"};
// PEFT's P-tuning: a network makes virtual tokens. A folder holds what it made of them, so that
// they are prompt_tuning's, and these keys say nothing more.
constexpr const char* kPTuning = "P_TUNING";
constexpr const char* kPTuningKeys[] = {"encoder_reparameterization_type", "encoder_hidden_size",
                                        "encoder_num_layers", "encoder_dropout"};
// Beginnings that change the base model's weights too.
constexpr const char* kChangedBase[] = {"pissa", "olora", "loftq", "corda", "lora_ga", "mica"};

std::string file_in(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == "" ||
         ((value.is_array() || value.is_object()) && value.empty());
}

void refuse_folder(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::kModel, {path}, what);
}

void refuse_unsupported(const Json& config, const std::string& path) {
  if (config.value("bias", Json("none")) != "none")
    refuse_folder(path,
                  fmt::format("\"bias\" is {}; only adapters without trained biases are supported",
                              config["bias"].dump()));
  const Json begun = config.value("init_lora_weights", Json(true));
  for (const char* name : kChangedBase) {
    if (begun.is_string() && small_letters(begun.get<std::string>()).starts_with(name))
      refuse_folder(
          path, fmt::format("\"init_lora_weights\" is {}: the base model's weights were changed "
                            "with it. Convert the adapter (PEFT: save_pretrained(…, "
                            "path_initial_model_for_weight_conversion=…))",
                            begun.dump()));
  }
}

// What PEFT fills in where nothing was asked for is left out.
Json asked_for(const Json& config) {
  const Json type = config.value("peft_type", Json());
  const AdapterInfo* method = type.is_string() ? find_method(type.get<std::string>()) : nullptr;
  std::vector<std::string> aside(std::begin(kAsideKeys), std::end(kAsideKeys));
  if (method != nullptr)
    aside.insert(aside.end(), method->idle_keys.begin(), method->idle_keys.end());
  Json asked = Json::object();
  for (const auto& [key, value] : config.items()) {
    const bool is_aside = std::find(aside.begin(), aside.end(), key) != aside.end();
    if (!is_aside && !says_nothing(value)) asked[key] = value;
  }
  return asked;
}

// 16.0 as 16: PEFT's own files have it so.
void shorten_numbers(Json& json) {
  for (auto& value : json) {
    if (value.is_structured()) shorten_numbers(value);
    if (!value.is_number_float()) continue;
    const double number = value;
    if (number == std::floor(number) && std::abs(number) < 1e15)
      value = static_cast<int64_t>(number);
  }
}

// PEFT's tasks, and how Transformers calls a network for them.
constexpr std::pair<const char*, const char*> kPeftTasks[] = {
    {"SEQ_CLS", "ForSequenceClassification"},
    {"TOKEN_CLS", "ForTokenClassification"},
    {"QUESTION_ANS", "ForQuestionAnswering"},
    {"CAUSAL_LM", "ForCausalLM"},
    {"CAUSAL_LM", "LMHeadModel"},
    {"SEQ_2_SEQ_LM", "ForConditionalGeneration"},
    {"SEQ_2_SEQ_LM", "MTModel"}};

constexpr const char* kFeatures = "FEATURE_EXTRACTION";  // of any other

Json task_type_of(const std::string& architecture) {
  for (const auto& [type, end] : kPeftTasks) {
    if (architecture.ends_with(end)) return type;
  }
  return nullptr;
}

// What names of modules in a file begin with; beside virtual tokens the second part is left out,
// and the adapters library has neither.
constexpr std::string_view kBeforeNames[] = {"base_model.model.", "base_model."};

// What an adapter adds to a module, below its name.
constexpr const char* kAdapterParts[] = {".lora_", ".ia3_", ".ln_tuning_layers.", ".base_layer."};

std::string name_in_checkpoint(const std::string& full) {
  for (const std::string_view before : kBeforeNames) {
    if (full.starts_with(before)) return full.substr(before.size());
  }
  return full;
}

// Of a file's weight; "prompt_embeddings", a whole adapter, is none.
bool is_of_head(const std::string& full, const Backbone& backbone) {
  if (full.find('.') == std::string::npos) return false;
  const ModelConfig& config = backbone.config();
  const std::string name = name_in_checkpoint(full), first = name.substr(0, name.find('.'));
  return config.is_bare ? !backbone.named_children().contains(first) : first != config.base_prefix;
}

bool is_adapter_part(const std::string& name) {
  return std::any_of(std::begin(kAdapterParts), std::end(kAdapterParts),
                     [&](const char* part) { return name.find(part) != std::string::npos; });
}

StateDict read_adapter_weights(const std::string& folder) {
  if (std::filesystem::exists(file_in(folder, kAdapterWeights)))
    return read_safetensors(file_in(folder, kAdapterWeights));
  if (std::filesystem::exists(file_in(folder, kPickledAdapter)))
    return read_pickled(file_in(folder, kPickledAdapter));
  throw Error(ErrorKind::kModel, {folder},
              fmt::format("has {}, but neither {} nor {}", kAdapterConfig, kAdapterWeights,
                          kPickledAdapter));
}

Json with_made_tokens(Json config) {
  if (config.value("peft_type", Json()) != kPTuning) return config;
  config["peft_type"] = "PROMPT_TUNING";
  for (const char* key : kPTuningKeys) config.erase(key);
  return config;
}

// The section `peft` that adapter_config.json stands for.
Json section_of(const Json& config, const std::string& path) {
  if (is_library_config(config)) return section_of_library(config, path);
  refuse_unsupported(config, path);
  return asked_for(with_made_tokens(config));
}

Json read_adapter_config(const std::string& path) {
  Json config = read_json(path, ErrorKind::kModel);
  if (!config.is_object()) refuse_folder(path, "must be a JSON object");
  return config;
}

// What the base model was kept in where hone trained the adapter; another program's files do not
// say it, and hone.json does.
BaseForm saved_form(const std::string& folder) {
  if (!std::filesystem::exists(manifest_path(folder))) return {};
  const Json form = read_manifest(folder).value(kBaseForm, Json::object());
  Config section = Config::from_json(form, manifest_path(folder));
  const BaseForm read = read_base_form(section);
  section.refuse_unknown();
  return read;
}

PeftOptions read_peft_options(const Json& config, const std::string& path) {
  const char* key = is_library_config(config) ? kBaseOfLibrary : kBaseModel;
  const Json base = config.value(key, Json());
  if (!base.is_string() || base == "")
    refuse_folder(path, fmt::format("\"{}\" does not say which model the adapter is for", key));
  const Json wanted = section_of(config, path);
  try {
    Config section = Config::from_json(wanted, path);
    PeftOptions options = PeftOptions::read(section);
    section.refuse_unknown();
    options.base = base.get<std::string>();
    options.base_form = saved_form(std::filesystem::path(path).parent_path().string());
    options.allow_idle_names();
    return options;
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, error.where(), error.message());
  }
}

std::string base_folder(const std::string& base, const std::string& path) {
  std::string folder;
  try {
    folder = resolve_model(base);
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, {path},
                fmt::format("the base model of the adapter is not there: {}. Where it has moved, "
                            "say so in \"{}\"",
                            error.what(), kBaseModel));
  }
  if (is_adapter_folder(folder))
    throw Error(ErrorKind::kModel, {path},
                fmt::format("its base model, {}, is an adapter itself: merge that first (hone "
                            "merge)",
                            base));
  return folder;
}

// A rank or name that the network cannot have is the folder's fault here.
Adapted adapt_to(Network& network, const PeftOptions& options, const AdaptInputs& inputs,
                 const std::string& path) {
  try {
    return adapt(network, options, inputs);
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, {path}, error.message());
  }
}

// The weights of the base model: the backbone's, and those of a head that is the base model's own;
// the names of those of the backbone that it lacks, without its prefix. Only those that are
// `wanted`; `hashes`: of those that are kept in another form than in full.
std::vector<std::string> load_base(Network& network, const AdapterFolder& folder,
                                   const std::function<bool(const std::string&)>& wanted,
                                   WeightHashes& hashes) {
  const ModelConfig& config = network.backbone().config();
  const std::string prefix = config.base_prefix + ".";
  auto parameters = network.stored_weights();
  std::erase_if(parameters, [&](const auto& weight) {
    return !wanted(weight.first) ||
           (!network.head().is_of_base() && !weight.first.starts_with(prefix));
  });
  std::vector<std::string> missing =
      load_into(parameters, folder.base_weights, config.base_prefix, folder.base,
                keep_base_while_loading(network, folder.options, hashes))
          .missing;
  // A head's bias that the base model lacks is none.
  std::erase_if(missing, [&](const std::string& name) {
    return config.is_computed(name) || !name.starts_with(prefix);
  });
  for (std::string& name : missing) name.erase(0, prefix.size());
  return missing;
}

// The base model that another adapter has in memory, as this one's.
void take_base(Network& network, const AdapterFolder& folder, const std::set<std::string>& weights,
               const BaseInUse& base, Adapted& adapted) {
  const BaseForm &own = folder.options.base_form, &others = base.adapted.base_form;
  if (own != others)
    throw Error(
        ErrorKind::kUsage, {folder.path},
        fmt::format("it was trained beside a base model in {}, the one before it beside one "
                    "in {}: they cannot share it",
                    own.text(), others.text()));
  const std::set<std::string> left = share_base(network, weights, base);
  WeightHashes hashes;
  load_base(network, folder, [&](const std::string& name) { return left.contains(name); }, hashes);
  keep_base_in(own, network, adapted);
}

bool has_head_for(const Task& task, const std::string& folder) {
  return std::filesystem::exists(file_in(folder, "config.json")) &&
         task.can_continue(ModelConfig::load(folder));
}

void refuse_missing(const LoadReport& report, const std::string& folder) {
  if (report.missing.empty()) return;
  refuse_folder(
      folder, fmt::format("{} missing from the adapter's weights ({})",
                          count_of(report.missing.size(), "weight"), first_names(report.missing)));
}

void refuse_adapted_head(const std::string& name, const std::string& folder) {
  refuse_folder(folder,
                fmt::format("the adapter changes a layer of the model's head ({}); only those of "
                            "the network below the head have one here. Merge it with PEFT "
                            "(merge_and_unload), or train one with other target_modules",
                            name));
}

// What a run that goes on with an adapter has of its file, by the file's names. A module of the
// backbone that neither the base model nor the file has (a pooler) is as fresh as the head.
std::vector<std::pair<std::string, at::Tensor>> weights_to_continue(Network& network,
                                                                    const Adapted& adapted,
                                                                    const PeftOptions& options,
                                                                    const StateDict& weights,
                                                                    bool takes_head) {
  const ModelConfig& config = network.backbone().config();
  std::vector<std::pair<std::string, at::Tensor>> wanted;
  for (const auto& [name, value] : network.trained_weights()) {
    const std::string in_file = adapted.file_name(name);
    const bool is_kept = name.starts_with(config.base_prefix + ".") &&
                         (options.trains_in_full(name) || weights.contains(in_file));
    if (takes_head || adapted.is_of_adapter(name) || is_kept)
      wanted.emplace_back(in_file, config.stored(name, value));
  }
  return wanted;
}

// Whether the network has the module that a weight of a file belongs to.
bool has_module_of(const std::string& name, const Network& network, const Adapted& adapted) {
  const auto weights = network.weights();
  return std::any_of(weights.begin(), weights.end(), [&](const auto& weight) {
    const std::string own = adapted.file_name(weight.first);
    const std::string module = own.substr(0, own.rfind('.') + 1);
    return !module.empty() && name.starts_with(module);
  });
}

// Weights that nothing took: those of a head that does not go on, and of modules that the task has
// no use for (a pooler). What else they change would be lost.
void settle_unexpected(const LoadReport& report, const Network& network, const Adapted& adapted,
                       const std::string& folder, bool takes_head) {
  std::vector<std::string> refused, left_out;
  for (const std::string& name : report.unexpected) {
    const bool is_of_a_head = is_of_head(name, network.backbone());
    if (is_of_a_head && !takes_head) continue;
    if (is_of_a_head && is_adapter_part(name)) refuse_adapted_head(name, folder);
    (has_module_of(name, network, adapted) ? refused : left_out).push_back(name);
  }
  if (!refused.empty())
    refuse_folder(folder,
                  fmt::format("the adapter changes layers that have none here: {} of its weights "
                              "would be lost ({})",
                              refused.size(), first_names(refused)));
  if (!left_out.empty())
    log_warn(
        "{}: this task's network lacks modules that the adapter has weights for ({}); they "
        "are left out",
        folder, first_names(left_out));
}

}  // namespace

bool is_adapter_folder(const std::string& folder) {
  return std::filesystem::exists(file_in(folder, kAdapterConfig));
}

void check_base(const Json& manifest, const Adapted& adapted, const std::string& folder) {
  const Json known = manifest.value("base", Json());
  if (known == adapted.base_weights) return;
  throw Error(ErrorKind::kModel, {folder},
              fmt::format("the adapter was trained on another base model than {} is now (weights "
                          "{}, now \"{}\"); name the one it was trained on as "
                          "\"base_model_name_or_path\" in adapter_config.json",
                          adapted.base, known.dump(), adapted.base_weights));
}

PeftOptions read_adapter_options(const std::string& folder) {
  const std::string path = file_in(folder, kAdapterConfig);
  PeftOptions options = read_peft_options(read_adapter_config(path), path);
  options.base = base_folder(options.base, path);
  return options;
}

void continue_adapter(Network& network, const Adapted& adapted, const Task& task,
                      const std::string& folder) {
  const std::string path = file_in(folder, kAdapterConfig);
  const Json config = read_adapter_config(path);
  const bool keeps_head = network.head().is_of_base(),
             takes_head = keeps_head || has_head_for(task, folder);
  if (std::filesystem::exists(manifest_path(folder)))
    check_base(read_manifest(folder), adapted, folder);
  const StateDict weights = is_library_config(config) ? read_library_weights(folder, config)
                                                      : read_adapter_weights(folder);
  const LoadReport report = load_into(
      weights_to_continue(network, adapted, read_peft_options(config, path), weights, takes_head),
      weights, "", folder);
  refuse_missing(report, folder);
  settle_unexpected(report, network, adapted, folder, takes_head);
  log_info("{}: the adapter goes on{}", folder,
           keeps_head   ? ""
           : takes_head ? ", its head too: task and labels are the same"
                        : " with a fresh head: its own is of another task or of other labels");
}

StateDict head_weights(const AdapterFolder& folder, const Backbone& backbone) {
  StateDict head;
  for (const auto& [name, value] : folder.weights) {
    if (!is_of_head(name, backbone)) continue;
    if (is_adapter_part(name)) refuse_adapted_head(name, folder.path);
    head.emplace(name_in_checkpoint(name), value);
  }
  return head;
}

AdapterFolder read_adapter_folder(const std::string& folder) {
  const std::string path = file_in(folder, kAdapterConfig);
  const Json config = read_adapter_config(path);
  AdapterFolder out{.path = folder, .options = read_peft_options(config, path)};
  const Json type = config.value("task_type", Json());
  out.task_type = type.is_string() ? type.get<std::string>() : "";
  out.weights = is_library_config(config) ? read_library_weights(folder, config)
                                          : read_adapter_weights(folder);
  out.base = base_folder(out.options.base, path);
  out.base_weights = load_state_dict(out.base);
  return out;
}

Adapted load_adapter(Network& network, const AdapterFolder& folder,
                     const std::optional<BaseInUse>& beside) {
  const std::set<std::string> shared =
      beside ? weights_in_use(network, *beside) : std::set<std::string>();
  PeftOptions options = folder.options;
  if (beside) options.base_form = {};  // what is shared has it
  WeightHashes known = beside ? beside->adapted.base_hashes : WeightHashes();
  AdaptInputs inputs{.known = &known};
  inputs.fresh = load_base(
      network, folder, [&](const std::string& name) { return !shared.contains(name); }, known);
  Adapted adapted = adapt_to(network, options, inputs, file_in(folder.path, kAdapterConfig));
  if (beside) take_base(network, folder, shared, *beside, adapted);
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  for (const auto& [name, value] : network.trained_weights())
    parameters.emplace_back(adapted.file_name(name),
                            network.backbone().config().stored(name, value));
  const LoadReport report = load_into(parameters, folder.weights, "", folder.path);
  refuse_missing(report, folder.path);
  if (!report.unexpected.empty())
    refuse_folder(
        folder.path,
        fmt::format("the adapter's weights hold {} that its {} does not ask for ({})",
                    report.unexpected.size(), kAdapterConfig, first_names(report.unexpected)));
  return adapted;
}

void write_adapter(const std::string& folder, const Network& network, const Adapted& adapted,
                   const std::string& architecture) {
  if (adapted.peft_type.empty())
    return write_library_folder(folder, network, adapted, architecture);
  Json config = {{kBaseModel, adapted.base},
                 {"task_type", task_type_of(architecture)},
                 {"inference_mode", true}};
  config.update(adapted.saved_json());
  for (const auto& [module, adapter] : adapters_of(network)) adapter->describe(config);
  shorten_numbers(config);
  write_safetensors(file_in(folder, kAdapterWeights), saved_weights(network, adapted));
  write_file(file_in(folder, kAdapterConfig), to_text(config, 2) + "\n");
}

void require_task_type(const PeftOptions& options, const std::string& architecture) {
  const Json own = task_type_of(architecture);
  const std::string& said = options.task_type;
  if (said.empty() || own == Json(said) || (own.is_null() && said == kFeatures)) return;
  throw Error(
      ErrorKind::kUsage, options.task_type_where,
      fmt::format("\"task_type\" is {}, but the task's network is a {}{}. Leave the key "
                  "out: the section task says it",
                  said, architecture,
                  own.is_null() ? "" : fmt::format(", {} to PEFT", own.get<std::string>())));
}

std::string architecture_end(const std::string& task_type) {
  for (const auto& [type, end] : kPeftTasks) {
    if (task_type == type) return end;
  }
  return "";
}

}  // namespace hone
