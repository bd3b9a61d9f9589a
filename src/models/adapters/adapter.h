// Adapters: a few trained weights beside the frozen ones of a pre-trained model. An adapter changes
// what one Linear gives; a configuration's section `peft` says which, and on which layers. Each
// method is one file and one line in registry.cpp; docs/extending-training.md shows one.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/table.h"
#include "models/adapters/low_rank.h"
#include "models/adapters/targets.h"
#include "models/layers/rows.h"

namespace hone {

class Bottleneck;
class LinearImpl;
struct ModelConfig;

// Its parameters bear the names that Hugging Face PEFT saves them by, below the layer's own
// ("lora_A.weight").
class Adapter : public torch::nn::Module {
 public:
  // What the layer reads instead of x [R, in]; see changes_input.
  virtual at::Tensor input(const at::Tensor& x) { return x; }
  virtual bool changes_input() const { return false; }
  // y [R, out], what the layer gives of x [R, in], a row for each of `rows` -> what it gives
  // instead, in y's type; y may be changed in place. A row must depend on its own row of x alone,
  // and what is drawn on rows.dropout(DropoutPlace::kAdapter, …) and the site's key.
  virtual at::Tensor apply(const at::Tensor& y, const at::Tensor& x, const Rows& rows) = 0;
  // Where `apply` is the addition of one product of low rank, that product: joined layers then add
  // theirs as one.
  virtual std::optional<LowRank> low_rank(const Rows& /*rows*/) const { return std::nullopt; }
  // Changes weight and bias so that the layer gives without it what it gives with it.
  virtual void merge_into(LinearImpl& layer) = 0;

  // What a folder holds of it, by name below the layer's own, and keys of adapter_config.json that
  // say more than the method's options.
  virtual std::vector<std::pair<std::string, at::Tensor>> saved() const;
  virtual void describe(Json& /*config*/) const {}
};

// Where an adapter is attached.
struct AdapterSite {
  std::string module;  // as checkpoints call it: "bert.encoder.layer.0.attention.self.query"
  LinearImpl& layer;
  uint64_t key;   // of the network's name for it: for what no two adapters may share
  uint64_t seed;  // of fresh weights
};

// Where one is attached in a block: at what a part of it gives.
struct BlockSite {
  std::string module;    // of the network: "bert.encoder.layer.0.output"
  bool is_attention;     // else the feed-forward part
  int64_t layer, width;  // numbers of a row
  uint64_t key, seed;    // as AdapterSite has them
};

// Keys and values before the tokens: prefix.h.
struct PrefixOptions {
  int64_t num_virtual_tokens = 20;
  bool prefix_projection = false;   // two layers with tanh between make them
  int64_t encoder_hidden_size = 0;  // of the layer between; 0: as wide as a layer's keys
  std::string init_text = {};       // whose keys and values they begin as; "": at random
};

// Virtual tokens: soft_prompt.h.
struct SoftPromptOptions {
  int64_t num_virtual_tokens = 20;
  std::string init = "RANDOM";  // or as words of the model: "SAMPLE_VOCAB", drawn, or "TEXT"
  std::string init_text = {};
};

// A weight of the network's own, and the module that holds it.
struct OwnWeight {
  const std::string& name;
  const torch::nn::Module& module;
  const ModelConfig& config;
  std::string path;  // of the module, as checkpoints call it
};

// A part of an adapter's weights that is trained at a rate of its own.
struct RateFactor {
  std::string weights;  // "*.lora_B.*"
  double factor;        // of the run's rate
};

// A method that a configuration asks for, its options read.
struct ChosenAdapter {
  std::string name = {};               // of the table
  std::string peft_type = {};          // in Hugging Face PEFT
  double learning_rate = 0;            // the usual one
  Json options = {};                   // by PEFT's names
  Json saved_options = {};             // those of a folder: of weights as Adapter::saved has them
  std::vector<RateFactor> rates = {};  // of some of its weights
  std::string usual_targets = kAllLinear;  // of a method beside linear layers
  // Options that name some of the layers: files have those that are meant in full.
  std::vector<std::pair<std::string, ModuleNames>> layer_options = {};
  // One of these says what the method adds.
  // Beside linear layers. Error(kUsage) where the layer cannot have it.
  std::function<std::shared_ptr<Adapter>(const AdapterSite&)> make = {};
  // In blocks; null where this part of this block has none.
  std::function<std::shared_ptr<Bottleneck>(const BlockSite&)> make_for_block = {};
  // Before the tokens of each sequence.
  std::optional<PrefixOptions> prefix = {};
  std::optional<SoftPromptOptions> prompt = {};
  // Nothing: which of the network's own weights are trained.
  std::function<bool(const OwnWeight&)> trains = {};
  bool trains_head_alone = false;  // and that is no mistake
  // It changes weights of the model's own, or what is saved is the whole model: these cannot be
  // kept in fewer bits (models/layers/frozen_weight.h).
  bool needs_full_base = false;
};

struct AdapterInfo {
  const char* name;       // peft.peft_type, in small letters; and of the modules
  const char* peft_type;  // PEFT's name for it; "": it knows none, and folders are not PEFT's
  const char* help;       // one line
  double learning_rate;   // the usual one
  ChosenAdapter (*read)(Config& section);
  std::vector<const char*> idle_keys = {};  // that PEFT's files have and the method does not read
};
Table<AdapterInfo>& adapters();  // registry.cpp: one line each

// By PEFT's name or the table's, in small or capital letters; null where it is none.
const AdapterInfo* find_method(const std::string& peft_type);
// The method that the section's `peft_type` names, with its options. Error(kUsage) at its place.
ChosenAdapter read_method(Config& section);

// An option by module: keys are regular expressions of the ends of names, from a dot on.
template <typename Value>
struct ByModule {
  std::vector<std::pair<std::string, Value>> values;  // as they were given

  // That of the first key that `module` fits; `fallback` where none does.
  Value of(const std::string& module, Value fallback) const;
  friend void to_json(Json& json, const ByModule& by_module) {
    json = Json::object();
    for (const auto& [expression, value] : by_module.values) json[expression] = value;
  }
};

// Options of a method, and a choice that holds them. Options has for_each(visit), which calls
// visit(key, field) for each, and check(section), which refuses values at their place. It may have
// saved(json), which makes them those that a folder has, rates() and needs_full_base().
// `usual`: the defaults.
template <typename Options>
Options read_method_options(Config& section, ChosenAdapter& chosen, Options usual = {});

// AdapterInfo::read of a class A that is made from (Options, AdapterSite).
template <typename A>
ChosenAdapter read_adapter(Config& section);
// The same with defaults of their own.
template <typename A>
ChosenAdapter read_adapter_from(Config& section, const typename A::Options& usual);

// ---- implementation

bool fits_end(const std::string& expression, const std::string& module);

template <typename Value>
Value ByModule<Value>::of(const std::string& module, Value fallback) const {
  for (const auto& [expression, value] : values) {
    if (fits_end(expression, module)) return value;
  }
  return fallback;
}

template <typename Field>
void read_option(Config& section, const char* key, Field& field) {
  field = section.get(key, field);
}

// Reads the expressions once, so that a wrong one is told at its place.
void check_expression(const Config& section, const std::string& key);

template <typename Value>
void read_option(Config& section, const char* key, ByModule<Value>& field) {
  Config own = section.section(key);
  for (const std::string& expression : own.keys()) {
    check_expression(own, expression);
    field.values.emplace_back(expression, own.get(expression, Value{}));
  }
}

template <typename Options>
Options read_method_options(Config& section, ChosenAdapter& chosen, Options options) {
  chosen.options = Json::object();
  options.for_each([&](const char* key, auto& value) {
    read_option(section, key, value);
    chosen.options[key] = value;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, ModuleNames>)
      chosen.layer_options.emplace_back(key, value);
  });
  options.check(section);
  chosen.saved_options = chosen.options;
  if constexpr (requires { options.saved(chosen.saved_options); })
    options.saved(chosen.saved_options);
  if constexpr (requires { options.rates(); }) chosen.rates = options.rates();
  if constexpr (requires { options.needs_full_base(); })
    chosen.needs_full_base = options.needs_full_base();
  return options;
}

template <typename A>
ChosenAdapter read_adapter(Config& section) {
  return read_adapter_from<A>(section, typename A::Options());
}

template <typename A>
ChosenAdapter read_adapter_from(Config& section, const typename A::Options& usual) {
  ChosenAdapter chosen;
  const auto options = read_method_options<typename A::Options>(section, chosen, usual);
  chosen.make = [options](const AdapterSite& site) { return std::make_shared<A>(options, site); };
  return chosen;
}

}  // namespace hone
