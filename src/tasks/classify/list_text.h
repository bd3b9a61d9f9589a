// Lists and mappings that were written into one text, as the cells of csv files have them: ["a",
// "b"] (JSON), ['a', 'b'] and {'a': 1} (Python), ['a' 'b'] and [0. 1. 0.] (NumPy), [a, b].
#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"

namespace hone::classify {

struct ListText {
  Json value;                // a list, or an object for a mapping
  bool is_one_word = false;  // "[NEUTRAL]": a list of one, or just a name
};

// Nothing for a text that is none of these.
std::optional<ListText> list_in_text(std::string_view text);

// "0 1 0", "1,0": zeros and ones with blanks or commas between them, at least two. Else nothing.
std::optional<Json> bits_in_text(std::string_view text);

}  // namespace hone::classify
