// Unigram: of all ways to cut a word into pieces the one whose scores have the highest sum, found
// by Viterbi's algorithm. Kudo 2018, "Subword regularization"; SentencePiece's default.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/piece_trie.h"

namespace hone {

class Unigram final : public Model {
 public:
  // A piece's id is its place. Of equal pieces the later is found; a warning names the first such.
  using Pieces = std::vector<std::pair<std::string, double>>;  // a piece and its score

  // Longer ones would make cutting a text slow, and no trainer makes them.
  static constexpr size_t kMostPieceBytes = 4096;

  // `unk_id`: of characters that no piece covers; where it is missing they are an error when they
  // come. With `byte_fallback` they become the bytes <0x00> … <0xFF>, where all those are pieces.
  // Throws Error(kModel) at `where`.
  Unigram(const Pieces& pieces, std::optional<int64_t> unk_id, bool byte_fallback,
          const Where& where);

  static std::unique_ptr<Unigram> load(const JsonNode& model);

  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  bool cuts_before(std::string_view mark) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void append_json(std::string& out) const override;
  void save_files(const std::string&) const override {}  // tokenizer.json alone has scores

 private:
  struct Step;

  Where where_;  // for messages
  Vocabulary vocabulary_;
  std::vector<double> scores_;  // by id
  PieceTrie trie_;
  double unk_score_ = 0;
  int32_t unk_id_ = Vocabulary::kNone;
  bool byte_fallback_;
  std::array<int32_t, 256> byte_ids_{};
  uint32_t serial_;  // in the WordCache

  void tokenize_anew(std::string_view word, std::vector<Piece>& out) const;
  void find_best(std::string_view word, std::vector<Step>& steps) const;
  void append_unknown(std::string_view word, int32_t begin, int32_t end,
                      std::vector<Piece>& out) const;
};

}  // namespace hone
