// Byte-level tokens as GPT-2 introduced them (Radford et al. 2019): words are bytes, written in an
// alphabet of 256 visible characters so that a vocabulary can be text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"

namespace hone {

std::string to_byte_alphabet(std::string_view bytes);  // " the" -> "Ġthe"
void append_byte_alphabet(std::string_view bytes, std::string& out);
std::optional<std::string> from_byte_alphabet(
    std::string_view letters);  // nothing where a letter is not of the alphabet

// Appends the words of bytes [range) of `text` that the pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// matches one after the other; together they are the whole range.
void split_like_gpt2(std::string_view text, Span range, std::vector<Span>& out);

}  // namespace hone
