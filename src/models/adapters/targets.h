// Which layers of a network an adapter is for: the rules and names of Hugging Face PEFT
// (target_modules, exclude_modules, layers_to_transform, layers_pattern).
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/json.h"

namespace hone {

constexpr const char* kAllLinear = "all-linear";  // every linear layer of the backbone

// A list of names, each a module's or the end of one from a dot on; or one text, a regular
// expression of the whole name.
struct ModuleNames {
  std::vector<std::string> list;
  std::string expression;

  bool is_empty() const { return list.empty() && expression.empty(); }
  bool matches(const std::string& module) const;
  // Of an option `key`; where it is not there, the expression that `field` has.
  friend void read_option(Config& section, const char* key, ModuleNames& field);
  friend void to_json(Json& json, const ModuleNames& names);
};

// "query" of "bert.encoder.layer.0.attention.self.query"
bool is_end_of(const std::string& name, const std::string& module);

class Targets {
 public:
  // `usual`: an expression, or kAllLinear, where the section does not say.
  static Targets read(Config& section, const std::string& usual = kAllLinear);

  // Those of `linear` that are meant, in their order; `others` are the network's other modules.
  // Error(kUsage) at its place where there are none, and where a name in the list has none, with
  // what could be meant.
  std::vector<std::string> among(const std::vector<std::string>& linear,
                                 const std::vector<std::string>& others) const;
  // The same of another program's configuration, whose lists may hold names of other models.
  void allow_idle_names() { allows_idle_names_ = true; }

 private:
  bool matches(const std::string& module) const;
  bool is_in_layers(const std::string& module) const;
  void refuse_idle_names(const std::vector<std::string>& linear,
                         const std::vector<std::string>& others) const;
  Error no_match(const std::string& name, const std::vector<std::string>& linear,
                 const std::vector<std::string>& others) const;

  ModuleNames wanted_, excluded_;
  std::vector<int64_t> layers_;          // none: all
  std::vector<std::string> layer_list_;  // what the modules that hold the layers are called
  bool takes_all_ = false, allows_idle_names_ = false;
  Where where_;
};

}  // namespace hone
