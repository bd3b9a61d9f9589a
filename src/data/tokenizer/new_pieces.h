// Pieces for characters that a vocabulary lacks: which they are, and a tokenizer's files with them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hone {

// How the vocabulary of a saved tokenizer writes a character.
struct PieceForm {
  bool is_word_piece = false;  // else a Unigram's, where a character is one piece everywhere
  std::string inside = {};     // WordPiece: what stands before a character within a word, "##"
};

// Of the tokenizer.json that Tokenizer::save wrote into `folder`. Error(kUsage) for a kind whose
// pieces do not stand for characters of their own (BPE: its pieces come of merges).
PieceForm piece_form(const std::string& folder);

// Characters of texts that the tokenizer cannot write: they became its unknown token, or, where it
// falls back on them, bytes.
class MissingPieces {
 public:
  MissingPieces(const Tokenizer& tokenizer, PieceForm form);

  void count(std::string_view text);
  int64_t tokens() const { return tokens_; }
  int64_t unknown() const { return unknown_; }  // of them
  // Pieces that lack `least` times or more, the most frequent first.
  std::vector<std::pair<std::string, int64_t>> frequent(int64_t least) const;

 private:
  bool is_unknown(int32_t id) const;
  void count_characters(std::string_view word);

  const Tokenizer& tokenizer_;
  PieceForm form_;
  int64_t tokens_ = 0, unknown_ = 0;
  std::map<std::string, int64_t> pieces_;
};

// What the tokenizer makes of a piece's character so far: never empty.
std::vector<int32_t> former_pieces(const Tokenizer& tokenizer, const PieceForm& form,
                                   std::string_view piece);

// Appends the pieces to the files that Tokenizer::save wrote into `folder`, with the ids from
// `first_id` on. Error(kUsage) where these are not the next ones of its vocabulary.
void append_pieces(const std::string& folder, const std::vector<std::string>& pieces,
                   int64_t first_id);

}  // namespace hone
