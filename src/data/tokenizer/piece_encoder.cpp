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

bool continues_code_point(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

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
  if (items.size() != 2 || items[0].type() != "WhitespaceSplit" || items[1].type() != "Metaspace")
    return false;
  rules.drops_blanks = rules.minds_white_space = true;
  read_metaspace(items[1], rules);
  return rules.splits;
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
      effects_([this](char32_t c) { return effect_of(c); }) {
  const Json steps = {{"type", "Sequence"}, {"normalizers", rules_.inner}};
  inner_ = make_normalizer({steps, "tokenizer.json"});
  for (char32_t c = 0; c < 128; ++c) ascii_[c] = effects_[c].kind;
  for (const std::string& text : rules_.replaced)
    begins_replaced_[static_cast<unsigned char>(text[0])] = true;
  for (size_t c = 0; c < 128; ++c) is_plain_[c] = ascii_[c] == Kind::kSame && !begins_replaced_[c];
}

PieceEncoder::Effect PieceEncoder::effect_of(char32_t c) const {
  if (c >= 0xD800 && c < 0xE000) return {};
  std::string alone;
  append_utf8(alone, c);
  if (alone == rules_.mark || c == '\r' || unicode::joins_next(c)) return {};
  NormalizedText text(alone, 0, static_cast<int32_t>(alone.size()));
  inner_->apply(text);
  const std::string_view becomes = text.view();
  const bool is_alone = is_independent(c);
  if (becomes == " " || becomes == rules_.mark)
    return {is_alone || c == '\n' || c == '\t' ? Kind::kBlank : Kind::kLeave};
  if (becomes.find(rules_.mark) != std::string_view::npos || has_white_space(becomes))
    return {becomes == alone && !rules_.minds_white_space ? Kind::kSame : Kind::kLeave};
  if (becomes.empty()) return {is_alone ? Kind::kLeave : Kind::kComplex};
  size_t at = 0;
  if (!is_alone || !is_independent(next_code_point(becomes, at))) return {Kind::kComplex};
  if (becomes == alone) return {Kind::kSame};
  return {Kind::kMapped, std::make_unique<const std::string>(becomes)};
}

// One call of encode. A chunk is a run of blanks and what follows up to the next one.
class PieceEncoder::Run {
 public:
  Run(const PieceEncoder& encoder, std::string_view text, Span range, int32_t word, Encoding& out)
      : encoder_(encoder),
        rules_(encoder.rules_),
        text_(text.substr(0, range.end)),
        begin_(range.start),
        at_(range.start),
        word_(word),
        out_(out) {}

  int32_t word() const { return word_; }

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
    std::string bytes, word;
    std::vector<Span> align;
    std::vector<Piece> pieces;
  };
  static Scratch& scratch() {
    thread_local Scratch scratch;
    return scratch;
  }

  const PieceEncoder& encoder_;
  const Rules& rules_;
  std::string_view text_;
  size_t begin_, at_;
  int32_t word_;
  Encoding& out_;
  Scratch& scratch_ = scratch();
  std::vector<Span>& blanks_ = scratch_.blanks;  // of the chunk
  std::string& bytes_ = scratch_.bytes;          // what follows them, normalised
  std::vector<Span>& align_ =
      scratch_.align;      // the bytes of the text behind each of them, unless is_linear_
  size_t start_ = 0;       // where they begin in the text
  bool is_linear_ = true;  // byte i of them stands for byte start_ + i of the text
  bool has_words_ = false;

  // What the code point at `at` becomes; `at` moves past it.
  Kind kind_at(size_t& at, const Effect*& effect) const {
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (byte < 0x80) {
      const Kind kind = encoder_.ascii_[byte];
      effect = kind == Kind::kMapped ? &encoder_.effects_[byte] : nullptr;
      ++at;
      return kind;
    }
    const size_t begin = at;
    const char32_t code = next_code_point(text_, at);
    if (code == 0xFFFD && at - begin != 3) return Kind::kLeave;  // no UTF-8
    effect = &encoder_.effects_[code];
    return effect->kind;
  }

  void take_blanks() {
    blanks_.clear();
    while (at_ < text_.size()) {
      size_t end = at_;
      const Effect* effect = nullptr;
      if (kind_at(end, effect) != Kind::kBlank) return;
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
    bytes_.clear();
    start_ = at_;
    is_linear_ = true;
    bool is_complex = false;
    while (at_ < text_.size()) {
      if (is_linear_ && !is_complex) take_plain();
      if (at_ == text_.size()) break;
      const size_t begin = at_;
      const Effect* effect = nullptr;
      const Kind kind = kind_at(at_, effect);
      if (kind == Kind::kLeave) return false;
      if (kind == Kind::kBlank) {
        at_ = begin;
        break;
      }
      is_complex = is_complex || kind == Kind::kComplex || is_replaced(begin);
      if (is_complex) continue;
      if (kind == Kind::kSame) {
        append(text_.substr(begin, at_ - begin), begin, true);
      } else {
        append(*effect->text, begin, false);
      }
    }
    return !is_complex || normalize_whole();
  }

  void take_plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && encoder_.is_plain_[static_cast<unsigned char>(text_[at_])]) ++at_;
    bytes_ += text_.substr(begin, at_ - begin);
  }

  // Bytes made of the code point [begin, at_) of the text.
  void append(std::string_view bytes, size_t begin, bool is_same) {
    if (is_linear_ && !is_same) {
      is_linear_ = false;
      align_.clear();
      for (size_t i = start_; i < begin;) {
        const size_t from = i;
        next_code_point(text_, i);
        align_.insert(align_.end(), i - from,
                      {static_cast<int32_t>(from), static_cast<int32_t>(i)});
      }
    }
    bytes_ += bytes;
    if (!is_linear_)
      align_.resize(bytes_.size(), Span{static_cast<int32_t>(begin), static_cast<int32_t>(at_)});
  }

  // By the normalizer itself. What a mark or a character that is removed does at the beginning is a
  // matter of what stands before it.
  bool normalize_whole() {
    size_t next = start_;
    if (!is_independent(next_code_point(text_, next))) return false;
    NormalizedText part(text_, static_cast<int32_t>(start_), static_cast<int32_t>(at_));
    encoder_.inner_->apply(part);
    bytes_ = part.view();
    if (bytes_.empty() || has_white_space(bytes_) || bytes_.find(rules_.mark) != std::string::npos)
      return false;
    is_linear_ = false;
    align_.clear();
    for (int32_t i = 0; i < static_cast<int32_t>(bytes_.size()); ++i)
      align_.push_back(part.source(i, i + 1));
    return true;
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
    if (has_prefix(is_first)) blanks_.push_back(source(0, 1));
    if (rules_.splits) {
      const size_t last = blanks_.size() - (blanks_.empty() || bytes_.empty() ? 0 : 1);
      for (size_t i = 0; i < last; ++i) push_word(i, i + 1, false);
      if (!bytes_.empty()) push_word(last, blanks_.size(), true);
    } else if (!blanks_.empty() || !bytes_.empty()) {
      push_word(0, blanks_.size(), true);
    }
    return true;
  }

  // Blanks [first, last) as marks, and the characters where they belong to it.
  void push_word(size_t first, size_t last, bool has_bytes) {
    std::string& word = scratch_.word;
    word.clear();
    for (size_t i = first; i < last; ++i) word += rules_.mark;
    const auto marks = static_cast<int32_t>(word.size());
    if (has_bytes) word += bytes_;
    scratch_.pieces.clear();
    encoder_.model_.tokenize(word, scratch_.pieces);
    const auto size = static_cast<int32_t>(rules_.mark.size());
    for (const auto& [id, begin, end] : scratch_.pieces) {
      const int32_t from = begin < marks ? blanks_[first + begin / size].start
                                         : source(begin - marks, begin - marks + 1).start;
      const int32_t to = end <= marks ? blanks_[first + (end - 1) / size].end
                                      : source(end - marks - 1, end - marks).end;
      out_.ids.push_back(id);
      out_.offsets.push_back({from, to});
      out_.words.push_back(word_);
    }
    has_words_ = true;
    if (rules_.splits) ++word_;
  }

  // The bytes of the text behind [begin, end) of bytes_.
  Span source(int32_t begin, int32_t end) const {
    if (!is_linear_) return {align_[begin].start, align_[end - 1].end};
    size_t from = start_ + begin, to = start_ + end;
    while (from > start_ && continues_code_point(text_[from])) --from;
    while (to < at_ && continues_code_point(text_[to])) ++to;
    return {static_cast<int32_t>(from), static_cast<int32_t>(to)};
  }
};

bool PieceEncoder::encode(std::string_view text, Span range, int32_t& word, Encoding& out) const {
  return run_or_undo(Run(*this, text, range, word, out), word, out);
}

}  // namespace hone
