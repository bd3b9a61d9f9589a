#include "models/adapters/targets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "base/letters.h"
#include "base/name_pattern.h"

namespace hone {
namespace {

// A key that is not there reads as `fallback`, an expression, or as nothing.
ModuleNames read_names(Config& section, const std::string& key, const std::string& fallback = "") {
  if (!section.has(key)) return {{}, fallback.empty() ? fallback : section.get(key, fallback)};
  const std::vector<std::string> list = section.get(key, std::vector<std::string>{});
  if (section.is_list(key)) {
    if (list.empty()) throw section.error(key, fmt::format("\"{}\" is an empty list", key));
    return {list, ""};
  }
  if (small_letters(list.at(0)) == kAllLinear) return {{}, kAllLinear};
  try {
    NamePattern{list[0]};
  } catch (const Error& error) {
    throw section.error(key, error.message());
  }
  return {{}, list[0]};
}

std::vector<int64_t> read_layers(Config& section, const std::string& key) {
  std::vector<int64_t> layers;
  for (const std::string& text : section.get(key, std::vector<std::string>{})) {
    int64_t layer = -1;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), layer);
    if (failed != std::errc() || end != text.data() + text.size() || layer < 0)
      throw section.error(key, fmt::format("\"{}\" holds \"{}\", which is no layer's number (they "
                                           "count from 0)",
                                           key, text));
    layers.push_back(layer);
  }
  return layers;
}

std::vector<std::string> parts_of(const std::string& module) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t dot; (dot = module.find('.', begin)) != std::string::npos; begin = dot + 1)
    parts.push_back(module.substr(begin, dot - begin));
  parts.push_back(module.substr(begin));
  return parts;
}

bool is_number(const std::string& part) {
  return !part.empty() && std::all_of(part.begin(), part.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The last parts of names that tell them apart from no number: "query", "attention.output.dense".
std::vector<std::string> ends_of(const std::vector<std::string>& modules) {
  std::set<std::string> ends;
  for (const std::string& module : modules) {
    std::string end;
    for (const std::string& part : parts_of(module))
      end = is_number(part) ? "" : end.empty() ? part : end + "." + part;
    ends.insert(end);
  }
  return {ends.begin(), ends.end()};
}

bool holds(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

bool is_end_of(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

void read_option(Config& section, const char* key, ModuleNames& field) {
  field = read_names(section, key, field.expression);
}

void to_json(Json& json, const ModuleNames& names) {
  if (names.expression.empty()) {
    json = names.list;
  } else {
    json = names.expression;
  }
}

bool ModuleNames::matches(const std::string& module) const {
  if (!expression.empty()) return NamePattern(expression).matches(module);
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& name) { return is_end_of(name, module); });
}

Targets Targets::read(Config& section, const std::string& usual) {
  Targets targets;
  targets.where_ = section.where("target_modules");
  targets.wanted_ = read_names(section, "target_modules", usual);
  targets.takes_all_ = targets.wanted_.expression == kAllLinear;
  targets.excluded_ = read_names(section, "exclude_modules");
  targets.layers_ = read_layers(section, "layers_to_transform");
  targets.layer_list_ = section.get("layers_pattern", std::vector<std::string>{});
  if (!targets.layers_.empty() && targets.wanted_.list.empty())
    throw section.error("layers_to_transform",
                        "\"layers_to_transform\" goes with a list of target_modules; an "
                        "expression says itself which layers it is for");
  if (!targets.layer_list_.empty() && targets.layers_.empty())
    throw section.error("layers_pattern",
                        "\"layers_pattern\" does nothing without layers_to_transform");
  return targets;
}

// The first number in the name is the layer's, as in "encoder.layer.3.attention.self.query".
bool Targets::is_in_layers(const std::string& module) const {
  const std::vector<std::string> parts = parts_of(module);
  for (size_t i = 1; i + 1 < parts.size(); ++i) {
    const bool is_layer = layer_list_.empty() ? i > 1 : holds(layer_list_, parts[i - 1]);
    if (is_number(parts[i]) && is_layer)
      return std::find(layers_.begin(), layers_.end(), std::stoll(parts[i])) != layers_.end();
  }
  return false;
}

bool Targets::matches(const std::string& module) const {
  if (!excluded_.is_empty() && excluded_.matches(module)) return false;
  if (takes_all_ || holds(wanted_.list, module)) return true;
  return wanted_.matches(module) && (layers_.empty() || is_in_layers(module));
}

Error Targets::no_match(const std::string& name, const std::vector<std::string>& linear,
                        const std::vector<std::string>& others) const {
  const std::vector<std::string> could = ends_of(linear);
  const auto other = std::find_if(others.begin(), others.end(), [&](const std::string& module) {
    return is_end_of(name, module);
  });
  const std::string what =
      other == others.end()
          ? fmt::format("no layer is called \"{}\"", name)
          : fmt::format(
                "\"{}\" is no linear layer of the base model ({}); modules_to_save trains "
                "others in full",
                name, *other);
  return Error(ErrorKind::kUsage, where_,
               fmt::format("\"target_modules\": {}{}; the linear layers are {}", what,
                           did_you_mean(name, could), fmt::join(could, ", ")));
}

void Targets::refuse_idle_names(const std::vector<std::string>& linear,
                                const std::vector<std::string>& others) const {
  for (const std::string& name : wanted_.list) {
    const bool is_there = std::any_of(linear.begin(), linear.end(), [&](const std::string& module) {
      return is_end_of(name, module);
    });
    if (!is_there) throw no_match(name, linear, others);
  }
}

std::vector<std::string> Targets::among(const std::vector<std::string>& linear,
                                        const std::vector<std::string>& others) const {
  if (!allows_idle_names_) refuse_idle_names(linear, others);
  std::vector<std::string> meant;
  std::copy_if(linear.begin(), linear.end(), std::back_inserter(meant),
               [&](const std::string& module) { return matches(module); });
  if (!meant.empty()) return meant;
  if (!layers_.empty() || !excluded_.is_empty())
    throw Error(ErrorKind::kUsage, where_,
                fmt::format("\"target_modules\" names layers, but with \"exclude_modules\" and "
                            "\"layers_to_transform\" none of them is left; the linear layers are "
                            "{}",
                            fmt::join(ends_of(linear), ", ")));
  throw no_match(wanted_.list.empty() ? wanted_.expression : wanted_.list.front(), linear, others);
}

}  // namespace hone
