#include "data/tokenizer/decoder.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "data/tokenizer/byte_level.h"

namespace hone {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// What English writing wants; the list is the reference's, " do not" included.
void clean_up(std::string& text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kChanges{
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" do not", " don't"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : kChanges) replace_all(text, from, to);
}

std::string decode_wordpiece(const std::vector<std::string>& tokens, const std::string& prefix,
                             bool is_cleaned) {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string& token = tokens[i];
    std::string part = i == 0                      ? token
                       : token.starts_with(prefix) ? token.substr(prefix.size())
                                                   : " " + token;
    if (is_cleaned) clean_up(part);
    out += part;
  }
  return out;
}

// Whether other bytes after these would make one code point.
bool can_begin_sequence(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  std::string whole(bytes);
  whole.resize(first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2, '\x80');
  return whole.size() > bytes.size() && invalid_utf8(whole) == std::string_view::npos;
}

// Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a sequence (as Rust's
// from_utf8_lossy).
std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t bad = invalid_utf8(bytes.substr(at));
    if (bad == std::string_view::npos) return out.append(bytes.substr(at));
    out.append(bytes.substr(at, bad)).append("\xEF\xBF\xBD");
    at += bad;
    size_t size = 1;  // of the longest part that could begin a well-formed sequence
    while (size < 3 && at + size < bytes.size() && can_begin_sequence(bytes.substr(at, size + 1)))
      ++size;
    at += size;
  }
  return out;
}

std::string decode_byte_level(const std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += from_byte_alphabet(token).value_or(token);
  return to_valid_utf8(bytes);
}

}  // namespace

Decoder make_decoder(const JsonNode& node) {
  if (node.json().is_null()) {
    return [](const std::vector<std::string>& tokens) {
      return fmt::format("{}", fmt::join(tokens, " "));
    };
  }
  const std::string type = node.type();
  if (type == "WordPiece") {
    return [prefix = node.at("prefix").text(),
            is_cleaned = node.boolean_or("cleanup", true)](const std::vector<std::string>& tokens) {
      return decode_wordpiece(tokens, prefix, is_cleaned);
    };
  }
  if (type == "ByteLevel") return decode_byte_level;
  throw node.at("type").error(fmt::format("\"{}\" is not a supported decoder", type));
}

}  // namespace hone
