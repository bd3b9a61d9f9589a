// The whole pipeline of SentencePiece's kind (a normalizer that works character by character,
// Metaspace, Unigram or BPE) in one pass over the bytes. It gives what the separate parts give;
// where a text takes more than a look at each character, it says so and leaves the piece to them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/code_point_table.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

class PieceEncoder {
 public:
  // Null where normalizer or pre-tokenizer have a part that is not provided for. `model` and
  // `added` must outlive it.
  static std::unique_ptr<PieceEncoder> make(const JsonNode& normalizer,
                                            const JsonNode& pre_tokenizer, const Model& model,
                                            const TokenMatcher& added);

  // Appends the tokens of bytes `range` of `text`, words numbered from `word` on. False: the parts
  // must do it, and `out` and `word` are as before.
  bool encode(std::string_view text, Span range, int32_t& word, Encoding& out) const;

 private:
  // What becomes of a code point once normalised.
  enum class Kind : uint8_t {
    kSame,     // itself
    kMapped,   // other characters
    kBlank,    // a blank
    kComplex,  // neighbours matter: what stands between blanks is normalised as a whole
    kLeave,    // not provided for
  };
  enum class Prefix { kNever, kFirst, kAlways };
  class Run;

  // What the parts do with blanks.
  struct Rules {
    bool strips_left = false, strips_right = false;
    bool collapses = false;             // several blanks are as the last of them
    bool drops_blanks = false;          // WhitespaceSplit: words are what stands between them
    bool splits = false;                // each mark begins a word, else all is one
    bool isolates_punctuation = false;  // a mark stands before it and before what follows
    bool prepends = false;              // a normalizer puts the mark before the text, come what may
    bool minds_white_space = false;     // also where it is no blank
    Prefix prefix = Prefix::kNever;
    std::string mark;                   // of a blank
    std::vector<std::string> replaced;  // texts that a normalizer replaces before all else
    Json inner = Json::array();         // normalizers that work on what stands between blanks
  };

  Rules rules_;
  const Model& model_;
  const TokenMatcher& added_;
  std::unique_ptr<Normalizer> inner_;
  CodePointTable<Kind> kinds_;                                // small, so that it stays at hand
  CodePointTable<std::unique_ptr<const std::string>> texts_;  // kMapped
  CodePointTable<bool> is_punctuation_;
  std::array<Kind, 128> ascii_{};
  std::array<bool, 256> begins_replaced_{}, is_plain_{};  // by first byte; kSame, one byte, no more

  PieceEncoder(Rules rules, const Model& model, const TokenMatcher& added);

  // Whether `rules` can say what the parts do.
  static bool read_normalizer(const JsonNode& node, bool is_first, Rules& rules);
  static bool read_replace(const JsonNode& node, bool is_first, Rules& rules);
  static bool read_pre_tokenizer(const JsonNode& node, Rules& rules);
  static void read_metaspace(const JsonNode& node, Rules& rules);
  std::string normalized(char32_t c) const;
  Kind kind_of(char32_t c) const;
};

}  // namespace hone
