// Lists and mappings that were written into one text, as the cells of csv files have them: ["a",
// "b"] (JSON), ['a', 'b'], {'a': 1}, set() and frozenset({'a'}) (Python), ['a' 'b'], [0. 1. 0.] and
// array(['a'], dtype=object) (NumPy), [a, b].
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

// 0, 1, false, true and other spellings of them.
std::optional<bool> bit_in_text(std::string_view text);

// "0 1 0", "True,False": bits with blanks or commas between them, at least two. Else nothing.
std::optional<Json> bits_in_text(std::string_view text);

}  // namespace hone::classify
