#include "data/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

// What becomes of the characters that separate words.
enum class Delimiter { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Delimiter read_delimiter(const JsonNode& node) {
  const std::string name = node.text_or("behavior", "Isolated");
  if (name == "Removed") return Delimiter::kRemoved;
  if (name == "Isolated") return Delimiter::kIsolated;
  if (name == "MergedWithPrevious") return Delimiter::kMergedWithPrevious;
  if (name == "MergedWithNext") return Delimiter::kMergedWithNext;
  if (name == "Contiguous") return Delimiter::kContiguous;
  throw node.at("behavior")
      .error(fmt::format(
          "\"{}\" is not one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
          name));
}

struct Piece {
  Span span;
  bool is_delimiter;
};

// Cuts [begin, end) at the delimiters, each of which is a piece of its own.
template <typename IsDelimiter>
std::vector<Piece> cut(std::string_view text, Span range, const IsDelimiter& is_delimiter) {
  std::vector<Piece> out;
  int32_t begin = range.start;
  for (size_t at = range.start; at < static_cast<size_t>(range.end);) {
    const auto start = static_cast<int32_t>(at);
    if (!is_delimiter(next_code_point(text.substr(0, range.end), at))) continue;
    if (begin < start) out.push_back({{begin, start}, false});
    begin = static_cast<int32_t>(at);
    out.push_back({{start, begin}, true});
  }
  if (begin < range.end) out.push_back({{begin, range.end}, false});
  return out;
}

void join(std::vector<Piece> pieces, Delimiter delimiter, std::vector<Span>& out) {
  const size_t first = out.size();
  bool is_previous_delimiter = false;
  if (delimiter == Delimiter::kMergedWithNext) {
    for (size_t i = pieces.size(); i-- > 0;) {  // from the end, as in the reference
      const bool is_merged = pieces[i].is_delimiter && !is_previous_delimiter && out.size() > first;
      is_previous_delimiter = pieces[i].is_delimiter;
      if (is_merged) {
        out.back().start = pieces[i].span.start;
      } else {
        out.push_back(pieces[i].span);
      }
    }
    std::reverse(out.begin() + static_cast<int64_t>(first), out.end());
    return;
  }
  for (const auto& [span, is_delimiter] : pieces) {
    const bool is_merged =
        out.size() > first &&
        ((delimiter == Delimiter::kContiguous && is_delimiter == is_previous_delimiter) ||
         (delimiter == Delimiter::kMergedWithPrevious && is_delimiter && !is_previous_delimiter));
    is_previous_delimiter = is_delimiter;
    if (delimiter == Delimiter::kRemoved && is_delimiter) continue;
    if (is_merged) {
      out.back().end = span.end;
    } else {
      out.push_back(span);
    }
  }
}

class BertPreTokenizer final : public PreTokenizer {
 public:
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    const std::string_view part = text.substr(0, range.end);
    int32_t begin = range.start;  // of the word under way
    for (size_t at = range.start; at < part.size();) {
      const auto start = static_cast<int32_t>(at);
      const char32_t c = next_code_point(part, at);
      const bool is_space = unicode::is_white_space(c),
                 is_punctuation = !is_space && unicode::is_punctuation(c);
      if (!is_space && !is_punctuation) continue;
      if (begin < start) out.push_back({begin, start});
      begin = static_cast<int32_t>(at);
      if (is_punctuation) out.push_back({start, begin});
    }
    if (begin < range.end) out.push_back({begin, range.end});
  }
  bool is_bert() const override { return true; }
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    join(cut(text, range, unicode::is_white_space), Delimiter::kRemoved, out);
  }
};

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(Delimiter delimiter) : delimiter_(delimiter) {}
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    join(cut(text, range, unicode::is_punctuation), delimiter_, out);
  }

 private:
  Delimiter delimiter_;
};

// \w+|[^\w\s]+
class Whitespace final : public PreTokenizer {
 public:
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    const std::string_view part = text.substr(0, range.end);
    char kind = 's';
    for (size_t at = range.start; at < part.size();) {
      const auto start = static_cast<int32_t>(at);
      const char32_t c = next_code_point(part, at);
      const char now = unicode::is_word(c) ? 'w' : unicode::is_white_space(c) ? 's' : 'o';
      if (now != 's' && now != kind) out.push_back({start, start});
      if (now != 's') out.back().end = static_cast<int32_t>(at);
      kind = now;
    }
  }
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool adds_prefix_space, bool uses_regex)
      : adds_prefix_space_(adds_prefix_space), uses_regex_(uses_regex) {}
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    if (uses_regex_) {
      split_like_gpt2(text, range, out);
    } else if (range.start < range.end) {
      out.push_back(range);
    }
  }
  bool is_byte_level() const override { return true; }
  bool adds_prefix_space() const override { return adds_prefix_space_; }

 private:
  bool adds_prefix_space_, uses_regex_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> parts) : parts_(std::move(parts)) {}
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    std::vector<Span> now{range}, next;
    for (const auto& part : parts_) {
      next.clear();
      for (const Span span : now) part->split(text, span, next);
      std::swap(now, next);
    }
    out.insert(out.end(), now.begin(), now.end());
  }
  bool is_byte_level() const override { return !parts_.empty() && parts_.back()->is_byte_level(); }
  bool adds_prefix_space() const override {
    return parts_.size() == 1 && parts_[0]->adds_prefix_space();
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

// What ByteLevel does to the text, bytes for characters, the model here does itself; so it can only
// come last, and a blank put in front of every word of an earlier part is not provided for.
std::unique_ptr<PreTokenizer> make_pre_tokenizer_sequence(const JsonNode& node) {
  std::vector<std::unique_ptr<PreTokenizer>> parts;
  for (const JsonNode& item : node.at("pretokenizers").items()) {
    auto part = make_pre_tokenizer(item);
    if (part == nullptr) continue;
    if (!parts.empty() && parts.back()->is_byte_level())
      throw item.error("a pre-tokenizer after ByteLevel is not supported");
    if (!parts.empty() && part->adds_prefix_space())
      throw item.error("add_prefix_space after another pre-tokenizer is not supported");
    parts.push_back(std::move(part));
  }
  return std::make_unique<Sequence>(std::move(parts));
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonNode& node) {
  if (node.json().is_null()) return nullptr;
  const std::string type = node.type();
  if (type == "BertPreTokenizer") return std::make_unique<BertPreTokenizer>();
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplit>();
  if (type == "Punctuation") return std::make_unique<Punctuation>(read_delimiter(node));
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>(node.at("add_prefix_space").boolean(),
                                       node.boolean_or("use_regex", true));
  if (type == "Sequence") return make_pre_tokenizer_sequence(node);
  throw node.at("type").error(fmt::format("\"{}\" is not a supported pre-tokenizer", type));
}

}  // namespace hone
