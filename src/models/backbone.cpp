#include "models/backbone.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/model_files.h"
#include "base/random.h"
#include "models/adapters/prefix.h"
#include "models/adapters/soft_prompt.h"
#include "models/config_fields.h"
#include "models/layers/embedding.h"
#include "models/layers/initialise.h"
#include "models/layers/linear.h"
#include "models/layers/recompute.h"
#include "models/layers/virtual_tokens.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBertConfig = "bert_config.json";

// As it sounds: "Distil-BERT" and "distillbert" are "distilbert". Models of other families may be
// called much alike ("albert"), so that only this counts as a slip.
std::string plain_name(const std::string& model_type) {
  std::string plain;
  for (const unsigned char c : model_type) {
    const auto letter = static_cast<char>(std::tolower(c));
    if (std::isalnum(c) && !plain.ends_with(letter)) plain += letter;
  }
  return plain;
}

// What "auto_map" says of models: "modeling_x.XModel"; "" where it names none.
std::string own_code_of(const Json& config) {
  const Json map = object_field(config, "auto_map");
  for (const auto& [what, code] : map.items()) {
    if (what.starts_with("AutoModel")) return code.is_string() ? code.get<std::string>() : what;
  }
  return "";
}

const FamilyInfo& family_of(const std::string& model_type, const std::string& own_code) {
  if (const FamilyInfo* family = families().find(model_type)) return *family;
  std::string advice = ".";
  for (const std::string& known : families().names()) {
    if (plain_name(model_type) == plain_name(known))
      advice = fmt::format("; did you mean \"{}\"?", known);
  }
  if (!own_code.empty())
    advice =
        fmt::format(". It needs code of its own (auto_map: {}), which is never run.", own_code);
  throw ConfigDefect("model_type",
                     fmt::format("\"model_type\" \"{}\" is not supported; known are {}{}",
                                 model_type, fmt::join(families().names(), ", "), advice));
}

// FNV-1a: the same on every machine.
uint64_t hash_of(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (const unsigned char byte : name) hash = (hash ^ byte) * 1099511628211u;
  return hash;
}

// The line of `"key":` in a JSON text; 0 where it is not there.
int64_t line_of(const std::string& text, const std::string& key) {
  for (size_t at = 0; (at = text.find('"' + key + '"', at)) != std::string::npos; ++at) {
    const size_t next = text.find_first_not_of(" \t\r\n", at + key.size() + 2);
    if (next != std::string::npos && text[next] == ':')
      return 1 + std::count(text.begin(), text.begin() + int64_t(at), '\n');
  }
  return 0;
}

// BERT's own releases have a bert_config.json without a "model_type".
std::string config_path(const fs::path& folder) {
  const fs::path path = folder / "config.json", of_bert = folder / kBertConfig;
  return (!fs::exists(path) && fs::exists(of_bert) ? of_bert : path).string();
}

ModelConfig read_family_config(Json config, const std::string& path) {
  if (!config.is_object())
    throw ConfigDefect("", "should be a JSON object of the model's settings.");
  if (path.ends_with(kBertConfig) && !config.contains("model_type")) config["model_type"] = "bert";
  const std::string model_type = text_field(config, "model_type", "");
  if (model_type.empty())
    throw ConfigDefect(
        "model_type",
        "\"model_type\" is missing; is this the config.json of a Transformers model?");
  if (config.contains("quantization_config") && !config["quantization_config"].is_null())
    throw ConfigDefect("quantization_config",
                       "\"quantization_config\" says that the weights are kept in fewer bits; take "
                       "the model in full (peft.base keeps it in few bits while adapters are "
                       "trained).");
  const std::string own_code = own_code_of(config);
  ModelConfig out = family_of(model_type, own_code).read_config(config);
  out.model_type = model_type;
  out.own_code = own_code;
  out.raw.erase("auto_map");  // what is saved is the family's own
  return out;
}

// The names of weights, from each of their parts on: prefixes of wrappers are not asked for.
class NamesFromEachPart {
 public:
  explicit NamesFromEachPart(const StateDict& weights) {
    for (const auto& [name, tensor] : weights) {
      names_.insert(name);
      for (size_t dot = 0; (dot = name.find('.', dot)) != std::string::npos;)
        names_.insert(std::string_view(name).substr(++dot));
    }
  }

  bool has_below(const std::string& module) const {
    const auto found = names_.lower_bound(module + ".");
    return found != names_.end() && found->starts_with(module + ".");
  }

 private:
  std::set<std::string_view> names_;
};

// How many layers the weights have, up to the last of the plan's that is there and on from it; 0
// where there is none.
int64_t layers_in(const StateDict& weights, const NetworkPlan& plan, int64_t planned) {
  const NamesFromEachPart names(weights);
  const auto is_there = [&](int64_t layer) { return names.has_below(plan.layer_name(layer)); };
  int64_t layers = 0;
  for (int64_t layer = 0; layer < planned; ++layer) {
    if (is_there(layer)) layers = layer + 1;
  }
  const auto is_another = [&] { return plan.layer_name(layers) != plan.layer_name(layers - 1); };
  while (layers >= planned && is_another() && is_there(layers)) ++layers;
  return layers;
}

// Tensors may share their storage.
int64_t bytes_of(const StateDict& weights) {
  std::set<const void*> seen;
  int64_t bytes = 0;
  for (const auto& [name, tensor] : weights) {
    if (seen.insert(tensor.storage().unsafeGetStorageImpl()).second)
      bytes += static_cast<int64_t>(tensor.storage().nbytes());
  }
  return bytes;
}

// The value that scales nothing, of the weights of each norm.
std::map<const c10::TensorImpl*, double> units_of_norms(const torch::nn::Module& module) {
  std::map<const c10::TensorImpl*, double> units;
  for (const auto& below : module.modules()) {
    if (const auto* norm = below->as<LayerNormImpl>())
      units.emplace(norm->weight.unsafeGetTensorImpl(), norm->unit());
  }
  return units;
}

void refuse_too_large(double weights, int64_t checkpoint_bytes, const std::string& folder) {
  constexpr double kLeastBytes = 2;  // of a weight: half precision
  const double bytes = std::max(1.0, static_cast<double>(checkpoint_bytes));
  if (weights * kLeastBytes <= bytes) return;
  throw Error(ErrorKind::kModel, Where{folder},
              fmt::format("config.json describes a network of {:.3g} million weights, but the "
                          "checkpoint has {:.3g} MB; does config.json belong to these weights?",
                          weights / 1e6, bytes / 1e6));
}

}  // namespace

ModelConfig ModelConfig::load(const std::string& folder, const Json& changes) {
  const std::string path = config_path(folder);
  if (!fs::exists(path)) {
    const std::string instead = foreign_in(folder, "");
    if (!instead.empty())
      throw Error(ErrorKind::kModel, Where{folder}, "has no config.json" + instead);
  }
  const std::string text = read_file(path, ErrorKind::kModel);
  try {
    Json config = parse_json(text, Where{path, 1}, ErrorKind::kModel);
    if (!changes.empty() && config.is_object()) config.update(changes);
    return read_family_config(config, path);
  } catch (const ConfigDefect& defect) {
    if (changes.contains(defect.key())) throw Error(ErrorKind::kUsage, defect.message());
    throw Error(ErrorKind::kModel, Where{path, line_of(text, defect.key())}, defect.message());
  }
}

void ModelConfig::compare_with(const StateDict& weights, const std::string& folder) const {
  const int64_t layers = layers_in(weights, *plan, num_layers);
  if (layers > 0 && num_layers > layers) {
    throw Error(ErrorKind::kModel, Where{folder},
                fmt::format("config.json says {} layers, but the weights have {}; does config.json "
                            "belong to these weights?",
                            num_layers, layers));
  }
  if (num_layers < layers) {
    log_warn("{}: the weights have {} layers, but config.json says {}: {} not used", folder, layers,
             num_layers,
             num_layers + 1 == layers ? fmt::format("layer {} is", num_layers)
                                      : fmt::format("layers {} to {} are", num_layers, layers - 1));
  }
  refuse_too_large(plan->weights(), bytes_of(weights), folder);
}

bool ModelConfig::is_computed(const std::string& weight) const {
  return std::any_of(computed.begin(), computed.end(),
                     [&](const std::string& end) { return weight.ends_with(end); });
}

void Backbone::set_prefix(std::shared_ptr<Prefix> prefix) {
  prefix_ = register_module("prompt_encoder", std::move(prefix));
}

void Backbone::set_prompt(std::shared_ptr<SoftPrompt> prompt) {
  prompt_ = register_module("prompt_encoder", std::move(prompt));
}

Packed Backbone::prompted(const Packed& text) const {
  return prompt_ ? with_prompt(text, prompt_->embeddings()).tokens : text;
}

int64_t Backbone::positions_taken() const {
  return prefix_ ? prefix_->length() : prompt_ ? prompt_->length() : 0;
}

Prompted Backbone::begin_prompted(const Packed& text, Want& want) const {
  Prompted all = with_prompt(text, prompt_->embeddings());
  if (!want.of_prompted)
    want.rows = want.rows.defined() ? all.text_rows.index_select(0, want.rows) : all.text_rows;
  return all;
}

void Backbone::end_prompted(const Prompted& tokens, const Want& want) {
  if (want.states == nullptr) return;
  for (size_t i = 0; i + 1 < want.states->size(); ++i)
    (*want.states)[i] = (*want.states)[i].index_select(0, tokens.text_rows);
}

at::Tensor ModelConfig::stored(const std::string& name, const at::Tensor& weight) const {
  const bool is_transposed =
      weight.dim() == 2 && std::any_of(transposed.begin(), transposed.end(),
                                       [&](const std::string& end) { return name.ends_with(end); });
  return is_transposed ? weight.detach().t() : weight;
}

int64_t NetworkPlan::activation_bytes(Precision precision, bool recomputes) const {
  const ActivationCounts counts = activations();
  const int64_t width = precision == Precision::kBf16 ? 2 : 4;
  const int64_t layer = counts.layer * width + counts.layer_fp32 * 4;
  const int64_t embeddings = counts.embeddings * 4;
  return recomputes ? layer * 3 + counts.layers * counts.layer_input * width + embeddings
                    : layer * (counts.layers + 2) + embeddings;
}

at::Tensor Backbone::pool(const at::Tensor& first, const Rows& rows) {
  throw Error(ErrorKind::kInternal, fmt::format("{} has no pooler.", config_.model_type));
}

const at::Tensor& Backbone::word_table() const {
  throw Error(ErrorKind::kInternal,
              fmt::format("{} has no table of word embeddings.", config_.model_type));
}

void Backbone::set_precision(Precision precision) {
  precision_ = precision;
  for (const auto& module : modules()) {
    if (auto* linear = module->as<LinearImpl>()) linear->set_precision(precision);
  }
}

at::Tensor Backbone::through(const std::vector<at::Tensor>& parameters,
                             const std::function<at::Tensor(const at::Tensor&)>& run,
                             const at::Tensor& x) const {
  return recomputes_ ? recomputed(run, x, parameters) : run(x);
}

void Backbone::initialise(uint64_t seed, const std::vector<std::string>& only) {
  const c10::AutoGradMode no_grad(false);
  const auto units = units_of_norms(*this);
  const auto is_wanted = [&](const std::string& name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  for (const auto& item : named_parameters()) {
    if (!is_wanted(item.key())) continue;
    if (config_.is_computed(item.key())) continue;
    const auto unit = units.find(item.value().unsafeGetTensorImpl());
    const bool is_of_family = config_.initial != nullptr;
    if (unit != units.end()) {
      item.value().fill_(is_of_family ? config_.initial(item.key()) : unit->second);
    } else if (item.value().dim() >= 2) {
      fill_normal(item.value(),
                  is_of_family ? config_.initial(item.key()) : config_.initializer_range,
                  mix(seed, hash_of(item.key())));
    } else {
      item.value().fill_(item.key().ends_with("bias") ? 0.0 : 1.0);
    }
  }
  for (const auto& item : named_modules()) {
    const auto* table = item.value()->as<EmbeddingImpl>();
    if (table && table->padding() >= 0 && is_wanted(item.key() + ".weight"))
      table->weight.select(0, table->padding()).zero_();  // as in the reference
    auto* linear = item.value()->as<LinearImpl>();
    if (linear && linear->shadow().defined()) linear->refresh_shadow();
  }
}

std::shared_ptr<Backbone> make_backbone(const ModelConfig& config) {
  return config.plan->build(config);
}

}  // namespace hone
