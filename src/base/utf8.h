// UTF-8: decode, encode, validate, count. Offsets are bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

// Decodes the code point at `position` and moves `position` past it. An invalid byte gives 0xFFFD
// and moves by one.
char32_t next_code_point(std::string_view text, size_t& position);
void append_utf8(std::string& out, char32_t code_point);
std::string to_utf8(std::u32string_view text);
std::u32string from_utf8(std::string_view text);

// The position of the first byte that is not valid UTF-8, or npos.
size_t invalid_utf8(std::string_view text);
size_t count_code_points(std::string_view text);

}  // namespace hone
