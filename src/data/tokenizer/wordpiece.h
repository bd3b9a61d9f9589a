// WordPiece: the longest token that starts the word, then the longest continuation ("##…") of the
// rest, and so on; a word that cannot be covered is [UNK] whole. Schuster and Nakajima 2012,
// "Japanese and Korean voice search"; as used by BERT.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/tokenizer/model.h"

namespace hone {

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  int64_t max_input_chars_per_word = 100;  // a longer word is [UNK]
};

class WordPiece final : public Model {
 public:
  // Throws Error(kModel) at `where` if the vocabulary lacks the unknown token.
  WordPiece(Vocabulary vocabulary, WordPieceOptions options, const Where& where);

  static std::unique_ptr<WordPiece> load(const JsonNode& model);
  static std::unique_ptr<WordPiece> load_vocab_txt(const std::string& path);

  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void append_json(std::string& out) const override;
  void save_files(const std::string& folder) const override;

  int32_t unk_id() const { return unk_id_; }

 private:
  Vocabulary vocabulary_, continuations_;  // all tokens; those with the prefix, without it
  WordPieceOptions options_;
  int32_t unk_id_;
  uint32_t serial_;  // in the WordCache

  void tokenize_anew(std::string_view word, std::vector<Piece>& out) const;
  bool is_too_long(std::string_view word) const;
  bool tokenize_parts(std::string_view word, std::vector<Piece>& out) const;
};

// The tokens of a vocab.txt, one a line, ids from 0. White space at a line's end does not belong to
// the token, as in the reference. Of a token that stands there twice the later id counts; a warning
// names the first such line.
Vocabulary read_vocab_txt(const std::string& path);

}  // namespace hone
