// Options of a table's entry that are its own (an optimizer's, a regulariser's): one struct with
//   for_each(visit)        calls visit(key, field) for each
//   check(section)         Error(kUsage) at its place for a value that cannot be meant
#pragma once

#include <fmt/format.h>

#include <cmath>

#include "base/config.h"
#include "base/json.h"

namespace hone {

// The section's values, those that are not given too.
template <typename Options>
Json read_options(Config& section) {
  Options options;
  Json json = Json::object();
  options.for_each([&](const char* key, auto& value) {
    value = section.get(key, value);
    json[key] = value;
  });
  options.check(section);
  return json;
}

// What read_options gave, as a struct again; a key that is not there has its default.
template <typename Options>
Options entry_options(const Json& json) {
  Options options;
  options.for_each([&](const char* key, auto& value) {
    if (json.contains(key)) json.at(key).get_to(value);
  });
  return options;
}

// For a check: Error(kUsage) at its place.
inline void need_positive(const Config& section, const char* key, double value) {
  if (!std::isfinite(value) || value <= 0)
    throw section.error(key, fmt::format("\"{}\" is {}; it must be more than 0", key, value));
}
inline void need_share(const Config& section, const char* key, double value) {
  if (!(value >= 0 && value < 1))
    throw section.error(
        key, fmt::format("\"{}\" is {}; it must be at least 0 and less than 1", key, value));
}

}  // namespace hone
