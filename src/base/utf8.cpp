#include "base/utf8.h"

#include <cstring>

namespace hone {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// The length of the well-formed sequence at `s`, 0 where it is ill-formed (Unicode 15, table 3-7:
// neither overlong forms, nor surrogates, nor values above 10FFFF).
size_t sequence_length(const unsigned char* s, size_t available) {
  const unsigned char first = s[0];
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (available < length) return 0;
  unsigned char low = 0x80, high = 0xBF;  // bounds of the second byte
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((s[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool eight_are_ascii(const unsigned char* s) {
  uint64_t word;
  std::memcpy(&word, s, sizeof word);
  return (word & 0x8080808080808080ULL) == 0;
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& position) {
  const unsigned char* s = bytes(text) + position;
  const size_t length = sequence_length(s, text.size() - position);
  switch (length) {
    case 0:
      position += 1;
      return kReplacement;
    case 1:
      position += 1;
      return s[0];
    case 2:
      position += 2;
      return static_cast<char32_t>((s[0] & 0x1F) << 6 | (s[1] & 0x3F));
    case 3:
      position += 3;
      return static_cast<char32_t>((s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F));
    default:
      position += 4;
      return static_cast<char32_t>((s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 |
                                   (s[3] & 0x3F));
  }
}

void append_utf8(std::string& out, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = kReplacement;
  const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | c >> 6);
    push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | c >> 12);
    push(0x80 | (c >> 6 & 0x3F));
    push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | c >> 18);
    push(0x80 | (c >> 12 & 0x3F));
    push(0x80 | (c >> 6 & 0x3F));
    push(0x80 | (c & 0x3F));
  }
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

std::u32string from_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) out.push_back(next_code_point(text, i));
  return out;
}

size_t invalid_utf8(std::string_view text) {
  const unsigned char* s = bytes(text);
  size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size() && eight_are_ascii(s + i)) {
      i += 8;
      continue;
    }
    const size_t length = sequence_length(s + i, text.size() - i);
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++count) next_code_point(text, i);
  return count;
}

}  // namespace hone
