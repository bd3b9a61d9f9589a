#include "data/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/finder.h"
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

struct Stretch {
  Span span;
  bool is_delimiter;
};

// Cuts [begin, end) at the delimiters, each of which is a piece of its own.
template <typename IsDelimiter>
std::vector<Stretch> cut(std::string_view text, Span range, const IsDelimiter& is_delimiter) {
  std::vector<Stretch> out;
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

void join(std::vector<Stretch> pieces, Delimiter delimiter, std::vector<Span>& out) {
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

// Words without their text changed.
class Splitter : public PreTokenizer {
 public:
  // Appends the words of bytes [begin, end) of `text`, none of them empty.
  virtual void split(std::string_view text, Span range, std::vector<Span>& out) const = 0;

  void apply(NormalizedText& text, std::vector<Span>& words) const override {
    thread_local std::vector<Span> parts;
    parts.clear();
    for (const Span word : words) split(text.view(), word, parts);
    words.swap(parts);
  }
};

class BertPreTokenizer final : public Splitter {
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

class WhitespaceSplit final : public Splitter {
 public:
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    join(cut(text, range, unicode::is_white_space), Delimiter::kRemoved, out);
  }
};

// Characters that separate words: punctuation, numbers, one character.
class CharacterSplit final : public Splitter {
 public:
  CharacterSplit(std::function<bool(char32_t)> is_delimiter, Delimiter delimiter)
      : is_delimiter_(std::move(is_delimiter)), delimiter_(delimiter) {}
  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    join(cut(text, range, is_delimiter_), delimiter_, out);
  }

 private:
  std::function<bool(char32_t)> is_delimiter_;
  Delimiter delimiter_;
};

// Matches of a pattern separate words; inverted, what stands between them does.
class PatternSplit final : public Splitter {
 public:
  PatternSplit(Finder finder, Delimiter delimiter, bool is_inverted)
      : finder_(std::move(finder)), delimiter_(delimiter), is_inverted_(is_inverted) {}

  void split(std::string_view text, Span range, std::vector<Span>& out) const override {
    thread_local std::vector<Span> matches;
    matches.clear();
    finder_.append_matches(text.substr(range.start, range.end - range.start), matches);
    if (delimiter_ == Delimiter::kIsolated) {
      for_each_stretch(matches, range, [&](Span span, bool) { out.push_back(span); });
      return;
    }
    std::vector<Stretch> pieces;
    for_each_stretch(matches, range, [&](Span span, bool is_match) {
      pieces.push_back({span, is_match != is_inverted_});
    });
    join(std::move(pieces), delimiter_, out);
  }

 private:
  Finder finder_;
  Delimiter delimiter_;
  bool is_inverted_;

  // Matches, as bytes of the range, and what stands between them.
  template <typename Found>
  static void for_each_stretch(const std::vector<Span>& matches, Span range, const Found& found) {
    int32_t done = range.start;
    const auto add = [&](int32_t end, bool is_match) {
      if (done < end) found(Span{done, end}, is_match);
      done = end;
    };
    for (const auto& [begin, end] : matches) {
      add(range.start + begin, false);
      add(range.start + end, true);
    }
    add(range.end, false);
  }
};

// \w+|[^\w\s]+
class Whitespace final : public Splitter {
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

// The words one after the other as a new text, each with `prefix` before it where it is wanted.
void prepend_to_words(NormalizedText& text, std::vector<Span>& words, std::string_view prefix,
                      const std::function<bool(Span)>& is_wanted) {
  NormalizedText::Rewriter out(text);
  for (Span& word : words) {
    const int32_t begin = out.size();
    if (is_wanted(word)) out.put(prefix, word.start);
    out.copy(word.start, word.end);
    word = {begin, out.size()};
  }
  out.commit();
}

class ByteLevel final : public Splitter {
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

  void apply(NormalizedText& text, std::vector<Span>& words) const override {
    const auto lacks_blank = [&](Span word) { return text.view()[word.start] != ' '; };
    if (adds_prefix_space_ && std::any_of(words.begin(), words.end(), lacks_blank))
      prepend_to_words(text, words, " ", lacks_blank);
    Splitter::apply(text, words);
  }

  bool changes_text() const override { return adds_prefix_space_; }
  bool is_byte_level() const override { return true; }

 private:
  bool adds_prefix_space_, uses_regex_;
};

// SentencePiece's: blanks become a visible mark, one stands before the text, and each mark begins a
// word.
class Metaspace final : public PreTokenizer {
 public:
  enum class Prefix { kAlways, kFirst, kNever };

  Metaspace(std::string mark, Prefix prefix, bool splits)
      : mark_(std::move(mark)), prefix_(prefix), splits_(splits) {}

  void apply(NormalizedText& text, std::vector<Span>& words) const override {
    NormalizedText::Rewriter out(text);
    std::vector<Span> parts;
    for (const Span word : words) {
      int32_t begin = out.size();
      if (lacks_prefix(text, word)) out.put(mark_, word.start);
      for (int32_t at = word.start; at < word.end;) {
        const bool is_blank = text.view()[at] == ' ', is_mark = is_blank || is_mark_at(text, at);
        if (is_mark && splits_ && out.size() > begin) {
          parts.push_back({begin, out.size()});
          begin = out.size();
        }
        if (is_blank) {
          out.put(mark_, at++);
        } else {
          const int32_t next = is_mark ? at + size() : next_mark(text.view(), at, word.end);
          out.copy(at, next);
          at = next;
        }
      }
      parts.push_back({begin, out.size()});
    }
    out.commit();
    words = std::move(parts);
  }

  bool changes_text() const override { return true; }

 private:
  std::string mark_;
  Prefix prefix_;
  bool splits_;

  int32_t size() const { return static_cast<int32_t>(mark_.size()); }
  bool is_mark_at(const NormalizedText& text, int32_t at) const {
    return text.view().substr(at).starts_with(mark_);
  }
  bool lacks_prefix(const NormalizedText& text, Span word) const {
    if (prefix_ == Prefix::kNever || text.view()[word.start] == ' ' || is_mark_at(text, word.start))
      return false;
    return prefix_ == Prefix::kAlways || text.source(word.start, word.end).start == 0;
  }
  int32_t next_mark(std::string_view text, int32_t at, int32_t end) const {
    do ++at;
    while (at < end && text[at] != ' ' &&
           (text[at] != mark_[0] || !text.substr(at).starts_with(mark_)));
    return at;
  }
};

class Chain final : public PreTokenizer {
 public:
  explicit Chain(std::vector<std::unique_ptr<PreTokenizer>> parts) : parts_(std::move(parts)) {}
  void apply(NormalizedText& text, std::vector<Span>& words) const override {
    for (const auto& part : parts_) part->apply(text, words);
  }
  bool changes_text() const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const auto& part) { return part->changes_text(); });
  }
  bool is_byte_level() const override { return !parts_.empty() && parts_.back()->is_byte_level(); }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

// What ByteLevel does to the text, bytes for characters, the model here does itself; so it can only
// come last.
std::unique_ptr<PreTokenizer> make_pre_tokenizer_sequence(const JsonNode& node) {
  std::vector<std::unique_ptr<PreTokenizer>> parts;
  for (const JsonNode& item : node.at("pretokenizers").items()) {
    auto part = make_pre_tokenizer(item);
    if (part == nullptr) continue;
    if (!parts.empty() && parts.back()->is_byte_level())
      throw item.error("a pre-tokenizer after ByteLevel is not supported");
    parts.push_back(std::move(part));
  }
  return std::make_unique<Chain>(std::move(parts));
}

std::string read_character(const JsonNode& node) {
  std::string text = node.text();
  if (count_code_points(text) != 1) throw node.error("expected one character");
  return text;
}

Metaspace::Prefix read_prefix(const JsonNode& node) {
  const std::string scheme = node.text_or("prepend_scheme", "always");
  const bool is_off = !node.boolean_or("add_prefix_space", true);
  if (is_off && node.find("prepend_scheme") && scheme != "never")
    throw node.error(
        fmt::format("\"add_prefix_space\" is false, but \"prepend_scheme\" is \"{}\"", scheme));
  if (is_off || scheme == "never") return Metaspace::Prefix::kNever;
  if (scheme == "always") return Metaspace::Prefix::kAlways;
  if (scheme == "first") return Metaspace::Prefix::kFirst;
  throw node.at("prepend_scheme")
      .error(fmt::format("\"{}\" is not one of always, first, never", scheme));
}

std::unique_ptr<PreTokenizer> make_character_split(const JsonNode& node, const std::string& type) {
  if (type == "Punctuation")
    return std::make_unique<CharacterSplit>(unicode::is_punctuation, read_delimiter(node));
  if (type == "Digits") {
    return std::make_unique<CharacterSplit>(
        unicode::is_number, node.boolean_or("individual_digits", false) ? Delimiter::kIsolated
                                                                        : Delimiter::kContiguous);
  }
  const char32_t delimiter = from_utf8(read_character(node.at("delimiter")))[0];
  return std::make_unique<CharacterSplit>([delimiter](char32_t c) { return c == delimiter; },
                                          Delimiter::kRemoved);
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonNode& node) {
  if (node.json().is_null()) return nullptr;
  const std::string type = node.type();
  if (type == "BertPreTokenizer") return std::make_unique<BertPreTokenizer>();
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplit>();
  if (type == "Punctuation" || type == "Digits" || type == "CharDelimiterSplit")
    return make_character_split(node, type);
  if (type == "Split")
    return std::make_unique<PatternSplit>(Finder(node.at("pattern")), read_delimiter(node),
                                          node.boolean_or("invert", false));
  if (type == "Metaspace")
    return std::make_unique<Metaspace>(read_character(node.at("replacement")), read_prefix(node),
                                       node.boolean_or("split", true));
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>(node.at("add_prefix_space").boolean(),
                                       node.boolean_or("use_regex", true));
  if (type == "Sequence") return make_pre_tokenizer_sequence(node);
  throw node.at("type").error(fmt::format("\"{}\" is not a supported pre-tokenizer", type));
}

}  // namespace hone
