// What a word is to a model that guesses whole words.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hone {

// The word of each piece of `text`, from 0 and never falling: the tokenizer's own pre-token (what
// stands between blanks and punctuation). Where a script is written without blanks (Chinese,
// Japanese, Thai, Lao, Khmer, Burmese), a pre-token is a character or a whole sentence, and a word
// is what Unicode's rules (UAX #29) and ICU's dictionaries say.
std::vector<int32_t> words_of_pieces(std::string_view text, const Encoding& pieces);

// Whether a text has characters of such a script: no blank stands between them and what is beside.
bool is_written_without_blanks(std::string_view text);

// The words of a text by the same rules: what has a letter, a digit or an ideograph, in the text's
// order; blanks and punctuation are none.
std::vector<Span> words_of_text(std::string_view text);

}  // namespace hone
