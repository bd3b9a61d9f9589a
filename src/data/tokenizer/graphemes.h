// Extended grapheme clusters: what a reader takes for one character (UAX #29).
#pragma once

#include <cstddef>
#include <string_view>

namespace hone::unicode {

// The end of the grapheme that begins at `at`. REQUIRES: at < text.size(), and a grapheme begins
// there.
size_t end_of_grapheme(std::string_view text, size_t at);

// Of no class that joins others, or a whole syllable of Hangul: between two of them a grapheme
// ends.
bool stands_alone(char32_t c);

bool joins_next(char32_t c);  // whatever comes, but for control characters

}  // namespace hone::unicode
