// Cloze patterns (Schick and Schütze 2021, https://arxiv.org/abs/2001.07676): a record as a text
// with a mask, and the words of the vocabulary that stand for labels there.
#pragma once

#include <string>
#include <vector>

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"

namespace hone::prompt {

// "{text} It was {mask}.": fields of a record and one mask between texts.
class Pattern {
 public:
  // Error(kUsage), without a place, for a pattern without a field, without a mask or with several.
  explicit Pattern(const std::string& text);

  std::vector<std::string> fields() const;                         // each once, in their order
  const std::string& before_mask() const { return before_mask_; }  // the pattern's own text there

  // A record's text, with `mask` in the mask's place.
  struct Filled {
    std::string text;
    std::vector<Span> fields;  // bytes of each field's text, in the pattern's order
    Span mask;
  };
  Filled fill(const Record& record, const std::string& mask) const;

 private:
  enum class Kind { kText, kField, kMask };
  struct Part {
    Kind kind;
    std::string text;  // or the field's name
  };
  void add(Kind kind, const std::string& text);

  std::vector<Part> parts_;
  std::string before_mask_;
};

// The pieces of a record in the pattern, with `masks` masks, cut to `room`: its fields at their
// ends, the longest first. The pattern's own text is never cut: Error(kData) where it does not fit.
struct Prompt {
  Encoding pieces;
  std::vector<int64_t> masks;  // places among the pieces
  bool was_cut = false;
};
Prompt prompt_of(const Record& record, const Pattern& pattern, int64_t masks, int64_t room,
                 const Tokenizer& tokenizer);

// The pieces that `word` is in the place of the mask. Error(kUsage) where the vocabulary has none.
std::vector<int32_t> pieces_of_word(const std::string& word, const Pattern& pattern,
                                    const Tokenizer& tokenizer);

}  // namespace hone::prompt
