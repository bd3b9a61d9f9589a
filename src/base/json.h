// JSON values in the order they were written, and a strict parser whose errors name line and
// column.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hone {

using Json = nlohmann::ordered_json;

// Parses one JSON document. Duplicate keys, trailing text, invalid UTF-8 and nesting deeper than
// 512 levels are errors of `kind` at `where` (the line of `where` is the line of the text's first
// byte), and so are more than `most_values` values, keys among them: an empty text costs 20 times
// its two bytes.
Json parse_json(std::string_view text, const Where& where, ErrorKind kind,
                size_t most_values = std::numeric_limits<size_t>::max());

// JSON as text. What is no UTF-8 (a file's name may hold any bytes) becomes U+FFFD.
std::string to_text(const Json& value, int indent = -1);

// Reads and parses a whole file.
Json read_json(const std::string& path, ErrorKind kind);

}  // namespace hone
