// BERT's whole pipeline (BertNormalizer, BertPreTokenizer, WordPiece) in one pass over the bytes,
// without an intermediate text. It gives what the separate parts give; where that takes reordering
// of combining marks, it says so and leaves the piece to them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "data/tokenizer/code_point_table.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {

class BertEncoder {
 public:
  // `wordpiece` must outlive this.
  BertEncoder(const BertNormalizerOptions& options, const WordPiece& wordpiece);

  // Appends the tokens of bytes `range` of `text`, words numbered from `word` on. False: the order
  // of marks matters here, and `out` and `word` are as before.
  bool encode(std::string_view text, Span range, int32_t& word, Encoding& out) const;

 private:
  // What becomes of a code point once normalised.
  enum class Kind : uint8_t {
    kWord,     // one code point that is part of a word
    kAlone,    // one code point that is a word: punctuation, Chinese
    kSpace,    // ends a word
    kNothing,  // removed: control characters, accents
    kSeveral,  // several code points, all part of a word: Hangul as its letters
    kComplex,  // a mark that stays, so that its place among other marks matters
  };
  struct Effect {
    char32_t code = 0;  // kWord
    int32_t id = 0;     // kAlone
    Kind kind = Kind::kComplex;
  };
  class Run;

  BertNormalizerOptions options_;
  const WordPiece& wordpiece_;
  CodePointTable<Effect> effects_;
  std::array<Effect, 128> ascii_;
  std::array<char, 256>
      word_bytes_{};  // the byte that an ASCII byte becomes within a word; 0 for all other bytes

  std::u32string normalized(char32_t c, bool& is_complex) const;
  Effect effect_of(char32_t c) const;
};

}  // namespace hone
