// Fine-tuning with few weights: adapters on a network whose own weights are frozen, as the section
// `peft` of a configuration or a PEFT folder's adapter_config.json describes it.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "tasks/network.h"

namespace hone {

struct PeftOptions {
  ChosenAdapter method;
  Targets targets;
  std::vector<std::string> modules_to_save = {};  // trained in full, beside the head
  std::string base = {};                          // what adapter_config.json calls the base model
  Where where = {};
  bool allows_idle_names = false;

  // Names and rules are those of Hugging Face PEFT. Error(kUsage) at its place.
  static PeftOptions read(Config& section);
  // Another program's: its lists may hold names of other models.
  void allow_idle_names();
};

// Adapters in a network, and what is trained and saved with them.
struct Adapted {
  std::string method = {}, peft_type = {};
  Json options = {};                              // of the method, by PEFT's names
  std::vector<std::string> targets = {};          // modules with an adapter
  std::vector<std::string> modules_to_save = {};  // the head's, and others: trained in full
  std::string base = {};                          // the base model: a folder or a hub name
  std::string base_weights = {};                  // fingerprint of what is frozen of it

  Json json() const;  // as adapter_config.json has it
  bool is_of_adapter(const std::string& weight) const { return !target_of(weight).empty(); }
  // The name that PEFT's files have for a weight of the network.
  std::string file_name(const std::string& weight) const;
  std::string target_of(const std::string& weight) const;  // "" where it is of no adapter
};

// Attaches adapters with fresh weights, a function of `seed`; all that they and modules_to_save do
// not hold needs no gradient from now on. `fresh`: weights that no checkpoint brought, whose
// modules are trained and saved too. Error(kUsage) at its place for names that match nothing.
Adapted adapt(Network& network, const PeftOptions& options, const std::vector<std::string>& fresh,
              uint64_t seed);

// Adds adapters into the weights that they are beside; the network has none then.
void merge_adapters(Network& network);

}  // namespace hone
