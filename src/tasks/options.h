// A task's options in one list: its struct has a function
//
//   template <typename Options, typename Visitor>
//   void for_each_option(Options& o, Visitor&& visit);   // found by its argument's namespace
//
// that calls visit(key, field) for each option, or visit(key, field, Choices{…}) where its text is
// one of a few. Reading, the saved form and its way back all walk it. A field may be a text, a list
// of texts or of whole numbers, a number, a bool, an enum whose names `option_names(field)` gives
// in their order, or a std::optional<double>: a number, or "auto" where it is left to the
// validation data (Task::open_options).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/config.h"
#include "base/json.h"

namespace hone {

using Choices = std::vector<std::string>;

constexpr const char* kAuto = "auto";

// Error(kModel) for a name that is none of them.
template <typename Enum>
Enum option_named(const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw Error(ErrorKind::kModel,
                fmt::format("\"{}\" is none of {}", name, fmt::join(names, ", ")));
  return static_cast<Enum>(found - names.begin());
}

// From the `task` section; what it does not name stays as it is. Keys of `except` are left to the
// caller.
class OptionReader {
 public:
  explicit OptionReader(Config& section, std::vector<std::string> except = {})
      : section_(section), except_(std::move(except)) {}

  template <typename Field>
  void operator()(const char* key, Field& field, const Choices& allowed = {}) {
    if (std::find(except_.begin(), except_.end(), key) != except_.end()) return;
    if constexpr (std::is_enum_v<Field>) {
      const std::vector<std::string>& names = option_names(field);
      field = option_named<Field>(section_.choice(key, names[static_cast<size_t>(field)], names),
                                  names);
    } else if constexpr (std::is_same_v<Field, std::string>) {
      field = allowed.empty() ? section_.get(key, field) : section_.choice(key, field, allowed);
    } else if constexpr (std::is_same_v<Field, std::optional<double>>) {
      const bool is_auto = section_.has(key) ? section_.get(key, "") == kAuto : !field;
      field = is_auto ? std::nullopt : std::optional(section_.get(key, field.value_or(0)));
      if (is_auto) section_.get(key, kAuto);
    } else {
      field = section_.get(key, field);
    }
  }

 private:
  Config& section_;
  std::vector<std::string> except_;
};

// Into hone.json.
template <typename Options>
Json options_json(const Options& options) {
  Json json = Json::object();
  for_each_option(options, [&](const char* key, const auto& field, const auto&... /*allowed*/) {
    if constexpr (std::is_enum_v<std::decay_t<decltype(field)>>) {
      json[key] = option_names(field)[static_cast<size_t>(field)];
    } else if constexpr (std::is_same_v<std::decay_t<decltype(field)>, std::optional<double>>) {
      json[key] = field ? Json(*field) : Json(kAuto);
    } else {
      json[key] = field;
    }
  });
  return json;
}

// And back: what a model of an earlier version does not have keeps its default. Errors of
// nlohmann::json for values of another type.
template <typename Options>
Options options_from(const Json& json) {
  Options options;
  for_each_option(options, [&](const char* key, auto& field, const auto&... /*allowed*/) {
    using Field = std::decay_t<decltype(field)>;
    if (!json.contains(key)) return;
    if constexpr (std::is_enum_v<Field>) {
      field = option_named<Field>(json.at(key).template get<std::string>(), option_names(field));
    } else if constexpr (std::is_same_v<Field, std::optional<double>>) {
      field = json.at(key) == kAuto ? std::nullopt : std::optional(json.at(key).get<double>());
    } else {
      json.at(key).get_to(field);
    }
  });
  return options;
}

}  // namespace hone
