// Values as JSON, as Python's json.dumps writes them: the filter tojson.
#pragma once

#include <optional>
#include <string>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

struct JsonLayout {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of a level; nothing: all on one line
  std::string between_items = ", ";
  std::string behind_keys = ": ";
  bool sort_keys = false;
};

Value json_text(Runtime& runtime, const Value& value, const JsonLayout& layout);

}  // namespace hone::jinja
