// SentencePiece models of a few pieces, written field by field.
#pragma once

#include <cstring>
#include <string>

namespace hone {

// A field with a length: its number below 16, its bytes shorter than 128.
inline std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
inline std::string number_field(int number, int value) {
  std::string out;
  for (unsigned tag = static_cast<unsigned>(number) << 3;; tag >>= 7) {
    out += static_cast<char>(tag < 128 ? tag : (tag & 127) | 128);
    if (tag < 128) break;
  }
  return out + static_cast<char>(value);
}

inline std::string piece(const std::string& text, float score, int type = 1) {
  std::string bits(4, '\0');
  std::memcpy(bits.data(), &score, 4);
  return field(1, field(1, text) + std::string{2 << 3 | 5} + bits + number_field(3, type));
}

// <unk> <s> </s> and some pieces; a Unigram or a BPE model.
inline std::string small_model(int kind, const std::string& extra_pieces = "") {
  std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  const char* pieces[] = {"\u2581ab", "ab", "\u2581a", "\u2581", "a",
                          "b",        "1",  ",",       "1,",     "\u00e9"};
  float score = -1;
  for (const char* text : pieces) out += piece(text, score--);
  return out + extra_pieces + field(2, number_field(3, kind)) + field(3, number_field(3, 1));
}

}  // namespace hone
