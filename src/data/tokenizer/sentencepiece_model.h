// SentencePiece's own file (.model, .spm): a protobuf message (sentencepiece_model.proto), read
// field by field from its bytes; nothing in it is executed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hone {

struct SentencePieceModel {
  enum class Kind { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  enum class Type { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };

  std::vector<Piece> pieces;  // by id
  Kind kind = Kind::kUnigram;
  int64_t unk_id = 0;
  std::string unk_piece = "<unk>";
  bool byte_fallback = false, splits_by_whitespace = true;
  std::string charsmap;  // of the normaliser; "" where a text stays as it is
  bool adds_prefix = true, removes_extra_whitespace = true;
};

// Whether a file that begins with these bytes can be one.
bool is_sentencepiece(std::string_view bytes);

// Throws Error(kModel) with the byte where the file is cut short or is no such message.
SentencePieceModel parse_sentencepiece(std::string_view bytes, const Where& where);

}  // namespace hone
