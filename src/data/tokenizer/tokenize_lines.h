// `hone tokenize`: a JSON line of ids, tokens and offsets for each line of text; and many texts
// encoded by several threads.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hone {

struct TokenizeLinesOptions {
  bool adds_special_tokens = true;
  bool is_json = false;  // each line is a JSON string (so a text may hold line breaks), or an array
                         // of two for a pair
};

// {"ids": […], "tokens": […], "offsets": [[start, end], …]}, offsets in bytes; special tokens have
// [0, 0].
std::string tokenized_json(const Tokenizer& tokenizer, const Sequence& sequence);

// Writes a line for each line of `in`. A line that is not valid UTF-8 is an Error(kData) at its
// place; `name` is the file's.
void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& name,
                    const TokenizeLinesOptions& options, std::ostream& out);

// out[i] is the encoding of texts[i]. Threads share the texts in chunks, so the result does not
// depend on their number.
void encode_lines(const Tokenizer& tokenizer, std::span<const std::string_view> texts, int threads,
                  std::vector<Encoding>& out);

}  // namespace hone
