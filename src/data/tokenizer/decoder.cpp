#include "data/tokenizer/decoder.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/finder.h"

namespace hone {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos) return;
  std::string out;
  size_t done = 0;
  for (size_t at; (at = text.find(from, done)) != std::string::npos; done = at + from.size())
    out.append(text, done, at - done).append(to);
  text = out.append(text, done);
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

using Tokens = std::vector<std::string>;
using Step = std::function<void(Tokens& tokens)>;  // one decoder; what is left is joined in the end

void decode_wordpiece(Tokens& tokens, const std::string& prefix, bool is_cleaned) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    if (i > 0) token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
    if (is_cleaned) clean_up(token);
  }
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

void decode_byte_level(Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += from_byte_alphabet(token).value_or(token);
  tokens = {to_valid_utf8(bytes)};
}

// The mark of a first token stood for no blank, unless none was put there.
void decode_metaspace(Tokens& tokens, const std::string& mark, bool has_prefix) {
  for (size_t i = 0; i < tokens.size(); ++i)
    replace_all(tokens[i], mark, i == 0 && has_prefix ? "" : " ");
}

void decode_replace(Tokens& tokens, const Finder& finder, const std::string& by) {
  for (std::string& token : tokens) {
    std::string out;
    int32_t done = 0;
    for (const auto& [begin, end] : finder.matches(token)) {
      out.append(token, done, begin - done).append(by);
      done = end;
    }
    token = out.append(token, done);
  }
}

// The byte of a token like <0x0A>.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

// Runs of bytes become a text; of one that is no UTF-8 each byte becomes U+FFFD.
void decode_bytes(Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty() && invalid_utf8(bytes) == std::string::npos) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_of(token)) {
      bytes += *byte;
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

void fuse(Tokens& tokens) { tokens = {fmt::format("{}", fmt::join(tokens, ""))}; }

// Up to `start` times `content` from the beginning of each token, up to `stop` times from its end.
void decode_strip(Tokens& tokens, const std::string& content, int64_t start, int64_t stop) {
  for (std::string& token : tokens) {
    std::string_view rest = token;
    for (int64_t i = 0; i < start && rest.starts_with(content); ++i)
      rest.remove_prefix(content.size());
    for (int64_t i = 0; i < stop && rest.ends_with(content); ++i)
      rest.remove_suffix(content.size());
    token = std::string(rest);
  }
}

// The suffix of a word's last token is the blank after it, but for the text's last.
void decode_suffix(Tokens& tokens, const std::string& suffix) {
  for (size_t i = 0; i < tokens.size(); ++i)
    replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
}

Step make_strip(const JsonNode& node) {
  const std::string content = node.at("content").text();
  if (count_code_points(content) != 1) throw node.at("content").error("expected one character");
  constexpr int64_t kMost = 1'000'000;
  return [content, start = node.at("start").integer(0, kMost),
          stop = node.at("stop").integer(0, kMost)](Tokens& tokens) {
    decode_strip(tokens, content, start, stop);
  };
}

Step make_step(const JsonNode& node);

Step make_sequence(const JsonNode& node) {
  std::vector<Step> steps;
  for (const JsonNode& item : node.at("decoders").items()) steps.push_back(make_step(item));
  return [steps](Tokens& tokens) {
    for (const Step& step : steps) step(tokens);
  };
}

Step make_metaspace(const JsonNode& node) {
  const bool has_prefix = node.boolean_or("add_prefix_space", true) &&
                          node.text_or("prepend_scheme", "always") != "never";
  return [mark = node.at("replacement").text(), has_prefix](Tokens& tokens) {
    decode_metaspace(tokens, mark, has_prefix);
  };
}

Step make_step(const JsonNode& node) {
  const std::string type = node.type();
  if (type == "WordPiece") {
    return [prefix = node.at("prefix").text(), is_cleaned = node.boolean_or("cleanup", true)](
               Tokens& tokens) { decode_wordpiece(tokens, prefix, is_cleaned); };
  }
  if (type == "ByteLevel") return decode_byte_level;
  if (type == "Metaspace") return make_metaspace(node);
  if (type == "Replace") {
    return [finder = Finder(node.at("pattern")), by = node.at("content").text()](Tokens& tokens) {
      decode_replace(tokens, finder, by);
    };
  }
  if (type == "ByteFallback") return decode_bytes;
  if (type == "Fuse") return fuse;
  if (type == "Strip") return make_strip(node);
  if (type == "BPEDecoder") {
    return [suffix = node.text_or("suffix", "</w>")](Tokens& tokens) {
      decode_suffix(tokens, suffix);
    };
  }
  if (type == "Sequence") return make_sequence(node);
  throw node.at("type").error(fmt::format("\"{}\" is not a supported decoder", type));
}

}  // namespace

Decoder make_decoder(const JsonNode& node) {
  if (node.json().is_null()) {
    return [](const Tokens& tokens) { return fmt::format("{}", fmt::join(tokens, " ")); };
  }
  return [step = make_step(node)](Tokens tokens) {
    step(tokens);
    return fmt::format("{}", fmt::join(tokens, ""));
  };
}

}  // namespace hone
