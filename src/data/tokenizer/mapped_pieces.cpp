#include "data/tokenizer/mapped_pieces.h"

#include <utility>

namespace hone {

MappedPieces::MappedPieces(std::unique_ptr<Model> pieces, int64_t unknown_piece,
                           Vocabulary vocabulary, int32_t unk_id)
    : pieces_(std::move(pieces)),
      vocabulary_(std::move(vocabulary)),
      unknown_piece_(static_cast<int32_t>(unknown_piece)),
      unk_id_(unk_id) {
  const Vocabulary& own = pieces_->vocabulary();
  for (int32_t piece = 0; piece < own.end_id(); ++piece) {
    const int32_t id = vocabulary_.find(own.token(piece));
    ids_.push_back(id == Vocabulary::kNone ? unk_id_ : id);
    if (id == Vocabulary::kNone && piece != unknown_piece_) ++missing_;
  }
}

void MappedPieces::tokenize(std::string_view word, std::vector<Piece>& out) const {
  const size_t first = out.size();
  pieces_->tokenize(word, out);
  for (size_t i = first; i < out.size(); ++i) {
    Piece& piece = out[i];
    if (piece.id != unknown_piece_) {
      piece.id = ids_[static_cast<size_t>(piece.id)];
      continue;
    }
    const auto begin = static_cast<size_t>(piece.begin), end = static_cast<size_t>(piece.end);
    const int32_t found = vocabulary_.find(word.substr(begin, end - begin));
    piece.id = found == Vocabulary::kNone ? unk_id_ : found;
  }
}

}  // namespace hone
