#include "data/tokenizer/byte_level.h"

#include <array>

#include "base/utf8.h"
#include "data/tokenizer/patterns/pattern.h"

namespace hone {
namespace {

constexpr bool is_visible(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Visible bytes stand for themselves; the others, in their order, for U+0100 and on.
struct Alphabet {
  std::array<std::string, 256> written;
  std::array<int, 0x200> bytes{};  // -1: not a letter of it

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t letter = is_visible(byte) ? static_cast<char32_t>(byte) : next++;
      append_utf8(written[byte], letter);
      bytes[letter] = byte;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

const Pattern& gpt2_pattern() {
  static const Pattern pattern = [] {
    const Json source =
        R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
    return Pattern(JsonNode(source, ""));
  }();
  return pattern;
}

}  // namespace

void append_byte_alphabet(std::string_view bytes, std::string& out) {
  const Alphabet& known = alphabet();
  for (const char byte : bytes) out += known.written[static_cast<unsigned char>(byte)];
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  append_byte_alphabet(bytes, out);
  return out;
}

std::optional<std::string> from_byte_alphabet(std::string_view letters) {
  std::string out;
  for (size_t at = 0; at < letters.size();) {
    const char32_t letter = next_code_point(letters, at);
    if (letter >= alphabet().bytes.size() || alphabet().bytes[letter] < 0) return std::nullopt;
    out += static_cast<char>(alphabet().bytes[letter]);
  }
  return out;
}

void split_like_gpt2(std::string_view text, Span range, std::vector<Span>& out) {
  const std::string_view part = text.substr(0, range.end);
  for (size_t at = range.start; at < part.size();) {
    const size_t end = gpt2_pattern().match(part, at);  // it fits everywhere
    out.push_back({static_cast<int32_t>(at), static_cast<int32_t>(end)});
    at = end;
  }
}

}  // namespace hone
