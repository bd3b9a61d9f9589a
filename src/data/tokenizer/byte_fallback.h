// SentencePiece's last resort: a character without a piece becomes its bytes, the pieces <0x00> to
// <0xFF>.
#pragma once

#include <array>
#include <cstdint>

#include "base/error.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {

std::array<int32_t, 256> find_byte_ids(const Vocabulary& vocabulary);  // kNone where missing

// One warning that names the first byte without a piece: characters with it are unknown.
void warn_of_missing_bytes(const std::array<int32_t, 256>& ids, const Where& where);

}  // namespace hone
