// The classes of code points that Hugging Face tokenizers works with, which differ from today's
// Unicode: its parts carry tables of different ages. Each function says which one it follows;
// tests/parity/test_tokenizer.py compares all code points.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace hone::unicode {

bool is_white_space(char32_t c);  // property White_Space
bool is_other(
    char32_t c);  // categories Cc, Cf, Co of Unicode 8.0; unassigned code points are not meant
bool is_punctuation(char32_t c);  // ASCII punctuation and symbols, and categories P* of Unicode 8.0
bool is_nonspacing_mark(char32_t c);  // category Mn of Unicode 8.0
bool is_combining_mark(char32_t c);   // categories M* of Unicode 9.0
bool is_chinese(char32_t c);          // the blocks that BERT puts spaces around
bool is_letter(char32_t c);           // \p{L} of Unicode 16
bool is_number(char32_t c);           // \p{N} of Unicode 16
bool is_word(char32_t c);             // \w of Unicode 16
uint32_t category_mask(char32_t c);  // the bit of its general category (U_GC_LU_MASK …), Unicode 16

// Lower case of one code point without its context (Rust's char::to_lowercase, Unicode 17); the
// second is 0 except for U+0130.
std::array<char32_t, 2> to_lower(char32_t c);

// Normalisation of Unicode 9.0.
int combining_class(char32_t c);
void append_decomposition(char32_t c, bool is_compatible,
                          std::u32string& out);     // full NFD or NFKD of one code point
char32_t compose(char32_t first, char32_t second);  // 0 where the pair has no composite

}  // namespace hone::unicode
