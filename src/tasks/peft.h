// Fine-tuning with few weights: adapters on a network whose own weights are frozen, as the section
// `peft` of a configuration or a PEFT folder's adapter_config.json describes it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/tokenizer/tokenizer.h"
#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "models/layers/frozen_weight.h"
#include "tasks/network.h"
#include "tasks/weights_fingerprint.h"

namespace hone {

struct PeftOptions {
  ChosenAdapter method;
  Targets targets = {};                           // of a method beside linear layers
  std::vector<std::string> modules_to_save = {};  // trained in full, beside the head
  std::string base = {};                          // what adapter_config.json calls the base model
  BaseForm base_form = {};                        // of its linear layers that stay as they are
  std::string task_type = {};                     // PEFT's name of the task; "": not said
  Where where = {}, task_type_where = {};
  bool allows_idle_names = false;

  // Names and rules are those of Hugging Face PEFT. Error(kUsage) at its place.
  static PeftOptions read(Config& section);
  // Another program's: its lists may hold names of other models.
  void allow_idle_names();
  // Whether modules_to_save holds a module, or what a weight is of.
  bool trains_in_full(const std::string& name) const;
  // Positions of a sequence that the method takes for itself.
  int64_t positions_taken() const;
};

// `base` and `double_quant` of a section. Error(kUsage) at its place.
BaseForm read_base_form(Config& section);

// How a folder names an adapter's weights, and the network itself.
struct AdapterNames {
  // Between a target and a weight of its adapter: ".lora" in the network, nothing in PEFT's files.
  std::string below = {}, below_in_file = {};
  std::string before_in_file = {};  // "base_model.model."
  std::string whole_in_file = {};   // all of an adapter as one weight: "prompt_embeddings"
  std::string dropped = {};  // what the network's names begin with and PEFT's files' do not: T5's

  std::string bare(const std::string& name) const {
    return name.starts_with(dropped) ? name.substr(dropped.size()) : name;
  }
};

// Adapters in a network, and what is trained and saved with them.
struct Adapted {
  std::string method = {}, peft_type = {};
  Json options = {}, saved_options = {};  // of the method; see ChosenAdapter
  std::vector<RateFactor> rates = {};     // likewise
  AdapterNames names = {};
  std::vector<std::string> targets = {};          // modules with an adapter
  std::vector<std::string> own = {};              // weights of the network's own that are trained
  std::vector<std::string> modules_to_save = {};  // the head's, and others: trained in full
  std::string base = {};                          // the base model: a folder or a hub name
  std::string base_weights = {};                  // fingerprint of what is frozen of it, in full
  WeightHashes base_hashes = {};                  // and what that is made of
  BaseForm base_form = {};                        // what it is kept in

  Json json() const;        // what makes a run another one
  Json saved_json() const;  // as PEFT's adapter_config.json has it
  // Whether a folder holds the adapter alone; else the whole model, as weights of its own changed.
  bool has_folder() const { return own.empty() && !targets.empty(); }
  bool is_of_adapter(const std::string& weight) const { return !target_of(weight).empty(); }
  // The name that PEFT's files have for a weight of the network.
  std::string file_name(const std::string& weight) const;
  std::string target_of(const std::string& weight) const;  // "" where it is of no adapter
};

struct AdaptInputs {
  // Weights that no checkpoint brought: their modules are trained and saved too.
  std::vector<std::string> fresh = {};
  uint64_t seed = 0;                     // of fresh weights
  const Tokenizer* tokenizer = nullptr;  // of a text that weights begin as; null: not wanted
  const WeightHashes* known = nullptr;   // of base weights that are not there yet
};

// Attaches adapters with fresh weights; all that they and modules_to_save do not hold needs no
// gradient from now on. Error(kUsage) at its place for names that match nothing.
Adapted adapt(Network& network, const PeftOptions& options, const AdaptInputs& inputs);

// Keeps linear layers of the backbone that are nothing's to train in another form; see
// models/layers/frozen_weight.h. Those that share another network's weights are that one's.
void keep_base_in(const BaseForm& form, Network& network, Adapted& adapted);

// Does the same for each layer whose weight has been loaded, so that memory never holds all of them
// in full; their hashes are kept. Null where the base model stays full.
std::function<void(const std::string& weight)> keep_base_while_loading(const Network& network,
                                                                       const PeftOptions& options,
                                                                       WeightHashes& hashes);

// Adds adapters into the weights that they are beside; the network has none then. Error(kUsage)
// for adapters that cannot be (what they compute is no linear layer's), and where those weights are
// not there in full.
void merge_adapters(Network& network);

// The adapters of a network's linear layers, and the layers' names.
std::vector<std::pair<std::string, std::shared_ptr<Adapter>>> adapters_of(const Network& network);

// What a folder holds under its own names: adapters, and what is trained in full.
StateDict saved_weights(const Network& network, const Adapted& adapted);

}  // namespace hone
