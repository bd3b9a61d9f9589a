// Plain scalars of YAML, and values as YAML.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace hone {

bool is_null_word(const std::string& text);            // "", "~", "null" in any case
std::optional<bool> bool_of(const std::string& text);  // true, yes, on; false, no, off
// "1", "-0.5", "1e-5", "+3"; nothing else of the text may remain.
std::optional<double> number_of(std::string_view text);
std::optional<int64_t> whole_of(std::string_view text);  // also "1e5" and "3.0"

std::string yaml_scalar(const Json& value);  // on one line: a scalar, or a list of such
std::string yaml_of(const Json& object);     // a block of keys

}  // namespace hone
