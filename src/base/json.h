// JSON values in the order they were written, and a strict parser whose errors name line and
// column.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace hone {

using Json = nlohmann::ordered_json;

// Parses one JSON document. Duplicate keys, trailing text, invalid UTF-8 and nesting deeper than
// 512 levels are errors of `kind` at `where` (the line of `where` is the line of the text's first
// byte).
Json parse_json(std::string_view text, const Where& where, ErrorKind kind);

// Reads and parses a whole file.
Json read_json(const std::string& path, ErrorKind kind);

}  // namespace hone
