// Where a stretch of text begins and ends for the eye.
#pragma once

#include <string_view>

#include "data/sample.h"

namespace hone {

// `span` (bytes) without what cannot be seen at its ends: white space, control and format
// characters, variation selectors, and combining marks at its end, which a tokenizer may strip.
// Empty where nothing can be seen. Two spans that differ in such characters only are the same.
Span visible_part(std::string_view text, Span span);

// `end` moved behind the marks, joiners and variation selectors that follow, not past `limit`:
// where the character that people see ends.
int32_t character_end(std::string_view text, int32_t end, int32_t limit);

}  // namespace hone
