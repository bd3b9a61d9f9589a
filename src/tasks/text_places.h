// Places in a text as records, tokenizers and models count them: characters, bytes, tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"

namespace hone {

// Bytes to characters (code points) and back, for one text.
class Characters {
 public:
  explicit Characters(std::string_view text);
  int64_t count() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t at_byte(int64_t byte) const;  // the character that holds the byte; count() at the end
  int64_t byte(int64_t character) const { return starts_[character]; }
  Span bytes(int64_t start, int64_t end) const {
    return {static_cast<int32_t>(starts_[start]), static_cast<int32_t>(starts_[end])};
  }

 private:
  std::vector<int64_t> starts_;  // byte where each character starts, and the text's length
};

// Tokens [begin, end).
struct TokenRange {
  int64_t begin = 0, end = 0;
  bool is_empty() const { return begin == end; }
};
// Those that share a byte with `bytes`. `tokens`: bytes of the text, in order; the search begins at
// token `from`.
TokenRange tokens_touching(const std::vector<Span>& tokens, Span bytes, int64_t from = 0);

// What the pieces of each word cover, without blanks, and with the marks that a tokenizer strips.
// words[w][i], offsets[w][i]: word (-1: none) and bytes of piece i of window w.
std::vector<Span> word_spans(const std::vector<std::vector<int32_t>>& words,
                             const std::vector<std::vector<Span>>& offsets, std::string_view text);

}  // namespace hone
