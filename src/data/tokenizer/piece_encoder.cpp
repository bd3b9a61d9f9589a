#include "data/tokenizer/piece_encoder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "data/tokenizer/fast_path.h"
#include "data/tokenizer/graphemes.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

bool has_white_space(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (unicode::is_white_space(next_code_point(text, at))) return true;
  }
  return false;
}

// Whether a code point takes no part in what its neighbours become, unless one of them does.
bool is_independent(char32_t c) {
  return unicode::stands_alone(c) && unicode::combining_class(c) == 0;
}

}  // namespace

bool PieceEncoder::read_normalizer(const JsonNode& node, bool is_first, Rules& rules) {
  if (node.json().is_null()) return true;
  const std::string type = node.type();
  if (type == "Sequence") {
    for (const JsonNode& item : node.at("normalizers").items()) {
      if (!read_normalizer(item, is_first && rules.inner.size() == rules.replaced.size(), rules))
        return false;
    }
    return true;
  }
  if (type == "Strip") {
    rules.strips_left = rules.strips_left || node.at("strip_left").boolean();
    rules.strips_right = rules.strips_right || node.at("strip_right").boolean();
    rules.minds_white_space = true;
    return true;
  }
  if (type == "Prepend") {
    rules.prepends = true;
    rules.mark = node.at("prepend").text();
    return is_first;
  }
  rules.inner.push_back(node.json());
  if (type == "NFC" || type == "NFD" || type == "Lowercase" || type == "StripAccents") return true;
  if (rules.collapses) return false;  // what follows may make further blanks
  if (type == "NFKC" || type == "NFKD" || type == "Nmt" || type == "Precompiled") return true;
  return type == "Replace" && read_replace(node, is_first, rules);
}

bool PieceEncoder::read_replace(const JsonNode& node, bool is_first, Rules& rules) {
  const JsonNode pattern = node.at("pattern");
  const std::string by = node.at("content").text();
  if (const auto expression = pattern.find("Regex")) {
    const std::string regex = expression->text();
    rules.collapses = regex == " {2,}" || (regex == R"(\s{2,}|[\n\r\t])" && is_first);
    rules.minds_white_space = rules.minds_white_space || regex != " {2,}";
    return rules.collapses && (by == " " || by == rules.mark);
  }
  const std::string from = pattern.at("String").text();
  if (from == " ") {
    if (rules.mark.empty()) rules.mark = by;
    return by == rules.mark;
  }
  rules.replaced.push_back(from);
  return is_first && !from.empty() && !has_white_space(from) && !has_white_space(by);
}

void PieceEncoder::read_metaspace(const JsonNode& node, Rules& rules) {
  const std::string mark = node.at("replacement").text(),
                    scheme = node.text_or("prepend_scheme", "always");
  const bool has_prefix = node.boolean_or("add_prefix_space", true);
  rules.mark = mark;
  rules.prefix = !has_prefix || scheme == "never" ? Prefix::kNever
                 : scheme == "first"              ? Prefix::kFirst
                                                  : Prefix::kAlways;
  rules.splits = node.boolean_or("split", true);
}

bool PieceEncoder::read_pre_tokenizer(const JsonNode& node, Rules& rules) {
  if (node.json().is_null()) return true;
  const std::string type = node.type();
  if (type == "Metaspace") {
    read_metaspace(node, rules);
    return true;
  }
  if (type != "Sequence") return false;
  const std::vector<JsonNode> items = node.at("pretokenizers").items();
  if (items.size() == 1) return read_pre_tokenizer(items[0], rules);
  if (items.size() != 2 || items[1].type() != "Metaspace") return false;
  read_metaspace(items[1], rules);
  if (items[0].type() == "WhitespaceSplit") {
    rules.drops_blanks = rules.minds_white_space = true;
    return rules.splits;
  }
  rules.isolates_punctuation =
      items[0].type() == "Punctuation" && items[0].text_or("behavior", "Isolated") == "Isolated";
  return rules.isolates_punctuation && rules.splits && rules.prefix == Prefix::kAlways;
}

std::unique_ptr<PieceEncoder> PieceEncoder::make(const JsonNode& normalizer,
                                                 const JsonNode& pre_tokenizer, const Model& model,
                                                 const TokenMatcher& added) {
  Rules rules;
  if (!read_pre_tokenizer(pre_tokenizer, rules) || !read_normalizer(normalizer, true, rules))
    return nullptr;
  if (count_code_points(rules.mark) != 1 || has_white_space(rules.mark)) return nullptr;
  if (rules.prepends && !pre_tokenizer.json().is_null()) return nullptr;
  if (!rules.splits && !model.cuts_before(rules.mark)) return nullptr;
  if (added.any_has(" ") || added.any_has(rules.mark)) return nullptr;
  return std::unique_ptr<PieceEncoder>(new PieceEncoder(std::move(rules), model, added));
}

PieceEncoder::PieceEncoder(Rules rules, const Model& model, const TokenMatcher& added)
    : rules_(std::move(rules)),
      model_(model),
      added_(added),
      kinds_([this](char32_t c) { return kind_of(c); }),
      texts_([this](char32_t c) {
        const bool is_mapped = kind_of(c) == Kind::kMapped;
        return is_mapped ? std::make_unique<const std::string>(normalized(c)) : nullptr;
      }),
      is_punctuation_(unicode::is_punctuation) {
  const Json steps = {{"type", "Sequence"}, {"normalizers", rules_.inner}};
  inner_ = make_normalizer({steps, "tokenizer.json"});
  for (char32_t c = 0; c < 128; ++c) ascii_[c] = kinds_[c];
  for (const std::string& text : rules_.replaced)
    begins_replaced_[static_cast<unsigned char>(text[0])] = true;
  for (size_t c = 0; c < 128; ++c) is_plain_[c] = ascii_[c] == Kind::kSame && !begins_replaced_[c];
}

std::string PieceEncoder::normalized(char32_t c) const {
  std::string alone;
  append_utf8(alone, c);
  NormalizedText text(alone, 0, static_cast<int32_t>(alone.size()));
  inner_->apply(text);
  return std::string(text.view());
}

PieceEncoder::Kind PieceEncoder::kind_of(char32_t c) const {
  if (c >= 0xD800 && c < 0xE000) return Kind::kLeave;
  std::string alone;
  append_utf8(alone, c);
  if (alone == rules_.mark || c == '\r' || unicode::joins_next(c)) return Kind::kLeave;
  const std::string becomes = normalized(c);
  const bool is_alone = is_independent(c);
  if (becomes == " " || becomes == rules_.mark)
    return is_alone || c == '\n' || c == '\t' ? Kind::kBlank : Kind::kLeave;
  if (becomes.find(rules_.mark) != std::string::npos || has_white_space(becomes))
    return becomes == alone && !rules_.minds_white_space ? Kind::kSame : Kind::kLeave;
  if (becomes.empty()) return is_alone ? Kind::kLeave : Kind::kComplex;
  size_t at = 0;
  if (!is_alone || !is_independent(next_code_point(becomes, at))) return Kind::kComplex;
  return becomes == alone ? Kind::kSame : Kind::kMapped;
}

// One call of encode. A chunk is a run of blanks and what follows up to the next one.
class PieceEncoder::Run : public FastPath {
 public:
  Run(const PieceEncoder& encoder, std::string_view text, Span range, int32_t word, Encoding& out)
      : FastPath(text, range, word, out),
        encoder_(encoder),
        rules_(encoder.rules_),
        begin_(range.start) {}

  bool run() {
    while (at_ < text_.size()) {
      const bool is_first = at_ == begin_;
      take_blanks();
      if (!take_characters() || !finish(is_first)) return false;
    }
    if (!rules_.splits && has_words_) ++word_;
    return true;
  }

 private:
  struct Scratch {
    std::vector<Span> blanks;
    std::string word;
  };
  static Scratch& scratch() {
    thread_local Scratch scratch;
    return scratch;
  }

  const PieceEncoder& encoder_;
  const Rules& rules_;
  size_t begin_;
  std::vector<Span>& blanks_ = scratch().blanks;  // of the chunk; what follows them is in bytes_
  std::string& marked_ = scratch().word;          // a word with its marks
  bool has_words_ = false;

  // Of the code point `c` at `at`; `at` moves past it.
  Kind kind_at(size_t& at, char32_t& c) const {
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (byte < 0x80) {
      ++at;
      c = byte;
      return encoder_.ascii_[byte];
    }
    const size_t begin = at;
    c = next_code_point(text_, at);
    if (c == 0xFFFD && at - begin != 3) return Kind::kLeave;  // no UTF-8
    return encoder_.kinds_[c];
  }

  void take_blanks() {
    blanks_.clear();
    while (at_ < text_.size()) {
      size_t end = at_;
      char32_t c = 0;
      if (kind_at(end, c) != Kind::kBlank) return;
      blanks_.push_back({static_cast<int32_t>(at_), static_cast<int32_t>(end)});
      at_ = end;
    }
  }

  bool is_replaced(size_t at) const {
    return encoder_.begins_replaced_[static_cast<unsigned char>(text_[at])] &&
           std::any_of(rules_.replaced.begin(), rules_.replaced.end(),
                       [&](const std::string& from) { return text_.substr(at).starts_with(from); });
  }

  // Up to the next blank. False where that is not provided for.
  bool take_characters() {
    start_bytes(at_);
    bool is_complex = false;
    while (at_ < text_.size()) {
      if (is_linear() && !is_complex) take_plain();
      if (at_ == text_.size()) break;
      const size_t begin = at_;
      char32_t c = 0;
      const Kind kind = kind_at(at_, c);
      if (kind == Kind::kLeave) return false;
      if (kind == Kind::kBlank) {
        at_ = begin;
        break;
      }
      is_complex = is_complex || kind == Kind::kComplex || is_replaced(begin);
      if (is_complex) continue;
      const size_t before = bytes_.size();
      bytes_ += kind == Kind::kSame ? text_.substr(begin, at_ - begin) : *encoder_.texts_[c];
      note_source(before, begin);
    }
    return !is_complex || normalize_whole();
  }

  void take_plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && encoder_.is_plain_[static_cast<unsigned char>(text_[at_])]) ++at_;
    bytes_ += text_.substr(begin, at_ - begin);
  }

  // By the normalizer itself: together with the blank before it where the first character may have
  // to do with that. At the beginning of all, what is removed there changes offsets further on.
  bool normalize_whole() {
    size_t next = start();
    const bool is_apart = is_independent(next_code_point(text_, next));
    if (!is_apart && (blanks_.empty() || is_stripped_later())) return false;
    const size_t from = is_apart ? start() : static_cast<size_t>(blanks_.back().start);
    NormalizedText part(text_, static_cast<int32_t>(from), static_cast<int32_t>(at_));
    encoder_.inner_->apply(part);
    size_t first = 0;
    if (!is_apart) {
      first = part.view().starts_with(' ') ? 1 : rules_.mark.size();
      if (first > 1 && !part.view().starts_with(rules_.mark)) return false;
    }
    set_bytes(part, first);
    return !bytes_.empty() && !has_white_space(bytes_) &&
           bytes_.find(rules_.mark) == std::string::npos;
  }

  // Whether the blanks of the chunk begin the text and go or get company.
  bool is_stripped_later() const {
    return blanks_.front().start == static_cast<int32_t>(begin_) &&
           (rules_.strips_left || rules_.prepends);
  }

  // Leaves the blanks that the parts leave. False where they would mind what kind they are.
  bool drop_blanks(bool is_first) {
    const bool is_last = bytes_.empty();
    if (rules_.prepends && is_first && !blanks_.empty()) return false;
    const bool is_stripped = (is_first && rules_.strips_left) || (is_last && rules_.strips_right);
    if (is_stripped) {
      for (const Span blank : blanks_) {
        if (!has_white_space(text_.substr(blank.start, blank.end - blank.start))) return false;
      }
    }
    if (is_stripped || rules_.drops_blanks) {
      blanks_.clear();
    } else if (rules_.collapses && blanks_.size() > 1) {
      blanks_.front() = blanks_.back();
      blanks_.resize(1);
    }
    return true;
  }

  bool has_prefix(bool is_first) const {
    if (!blanks_.empty() || bytes_.empty() || !(is_first || rules_.drops_blanks)) return false;
    return rules_.prepends || rules_.prefix == Prefix::kAlways ||
           (rules_.prefix == Prefix::kFirst && source(0, 1).start == 0);
  }

  bool finish(bool is_first) {
    if (!encoder_.added_.is_empty() && encoder_.added_.is_in(bytes_)) return false;
    if (!drop_blanks(is_first)) return false;
    if (has_prefix(is_first) || end_of_punctuation(0) > 0) blanks_.push_back(source(0, 1));
    if (rules_.splits) {
      push_words();
    } else if (!blanks_.empty() || !bytes_.empty()) {
      push_word(0, blanks_.size(), 0, bytes_.size());
    }
    return true;
  }

  // Each blank is a word but for the last, which begins one.
  void push_words() {
    const size_t last = blanks_.size() - (blanks_.empty() || bytes_.empty() ? 0 : 1);
    for (size_t i = 0; i < last; ++i) push_word(i, i + 1, 0, 0);
    for (size_t begin = 0; begin < bytes_.size();) {
      const size_t end = end_of_word(begin);
      if (begin == 0) {
        push_word(last, blanks_.size(), begin, end);
      } else {
        blanks_.assign(1, source(begin, begin + 1));
        push_word(0, 1, begin, end);
      }
      begin = end;
    }
  }

  // Of the punctuation that stands at byte `at`, where that is a word of its own; else `at`.
  size_t end_of_punctuation(size_t at) const {
    if (!rules_.isolates_punctuation || at == bytes_.size()) return at;
    size_t end = at;
    return encoder_.is_punctuation_[next_code_point(bytes_, end)] ? end : at;
  }

  size_t end_of_word(size_t begin) const {
    if (!rules_.isolates_punctuation) return bytes_.size();
    if (const size_t end = end_of_punctuation(begin); end > begin) return end;
    size_t at = begin;
    do next_code_point(bytes_, at);
    while (at < bytes_.size() && end_of_punctuation(at) == at);
    return at;
  }

  // Blanks [first, last) as marks, and bytes [begin, end).
  void push_word(size_t first, size_t last, size_t begin, size_t end) {
    marked_.clear();
    for (size_t i = first; i < last; ++i) marked_ += rules_.mark;
    const auto size = static_cast<int32_t>(rules_.mark.size());
    const auto marks = static_cast<int32_t>(marked_.size());
    marked_.append(bytes_, begin, end - begin);
    pieces_.clear();
    encoder_.model_.tokenize(marked_, pieces_);
    const int32_t shift = static_cast<int32_t>(begin) - marks;
    for (const auto& [id, from, to] : pieces_) {
      push(id, {from < marks ? blanks_[first + from / size].start
                             : source(from + shift, from + shift + 1).start,
                to <= marks ? blanks_[first + (to - 1) / size].end
                            : source(to + shift - 1, to + shift).end});
    }
    has_words_ = true;
    if (rules_.splits) ++word_;
  }
};

bool PieceEncoder::encode(std::string_view text, Span range, int32_t& word, Encoding& out) const {
  return run_or_undo(Run(*this, text, range, word, out), word, out);
}

}  // namespace hone
