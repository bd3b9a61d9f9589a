// Pieces whose ids are another vocabulary's: Marian's, where one list of ids serves the pieces of
// two SentencePiece models.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/model.h"

namespace hone {

class MappedPieces final : public Model {
 public:
  // A piece of `pieces` has the id that `vocabulary` gives to its text, one that it lacks `unk_id`.
  // What no piece covers (piece number `unknown_piece`) is looked up too: it may be a piece of the
  // other model.
  MappedPieces(std::unique_ptr<Model> pieces, int64_t unknown_piece, Vocabulary vocabulary,
               int32_t unk_id);

  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  bool cuts_before(std::string_view mark) const override { return pieces_->cuts_before(mark); }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  // The files of two models and a list of ids are what has all of it: MarianTokenizer writes them.
  void append_json(std::string& out) const override { pieces_->append_json(out); }
  void save_files(const std::string&) const override {}

  int64_t pieces() const { return static_cast<int64_t>(ids_.size()); }
  int64_t missing() const { return missing_; }  // pieces that the vocabulary lacks

 private:
  std::unique_ptr<Model> pieces_;
  Vocabulary vocabulary_;
  std::vector<int32_t> ids_;  // by the piece's own number
  int32_t unknown_piece_;
  int32_t unk_id_;
  int64_t missing_ = 0;
};

}  // namespace hone
