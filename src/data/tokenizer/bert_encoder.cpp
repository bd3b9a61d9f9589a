#include "data/tokenizer/bert_encoder.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "data/tokenizer/fast_path.h"
#include "data/tokenizer/unicode.h"

namespace hone {

BertEncoder::BertEncoder(const BertNormalizerOptions& options, const WordPiece& wordpiece)
    : options_(options),
      wordpiece_(wordpiece),
      effects_([this](char32_t c) { return effect_of(c); }) {
  for (char32_t c = 0; c < 128; ++c) {
    ascii_[c] = effects_[c];
    if (ascii_[c].kind == Kind::kWord) word_bytes_[c] = static_cast<char>(ascii_[c].code);
  }
}

std::u32string BertEncoder::normalized(char32_t c, bool& is_complex) const {
  std::u32string parts, out;
  if (options_.strips_accents()) {
    unicode::append_decomposition(c, /*is_compatible=*/false, parts);
  } else {
    parts.push_back(c);
  }
  for (const char32_t part : parts) {
    if (options_.strips_accents() && unicode::is_nonspacing_mark(part)) continue;
    is_complex = is_complex || (options_.strips_accents() && unicode::combining_class(part) != 0);
    const auto [first, second] =
        options_.lowercase ? unicode::to_lower(part) : std::array<char32_t, 2>{part, 0};
    out.push_back(first);
    if (second != 0) out.push_back(second);
  }
  return out;
}

BertEncoder::Effect BertEncoder::effect_of(char32_t c) const {
  const bool is_kept_control = c == '\t' || c == '\n' || c == '\r';
  if (options_.clean_text) {
    if (c == 0 || c == 0xFFFD || (unicode::is_other(c) && !is_kept_control))
      return {0, 0, Kind::kNothing};
    if (unicode::is_white_space(c)) return {0, 0, Kind::kSpace};
  }
  bool is_complex = false;
  const std::u32string parts = normalized(c, is_complex);
  const bool is_chinese = options_.handle_chinese_chars && unicode::is_chinese(c);
  const bool is_any_apart = std::any_of(parts.begin(), parts.end(), [](char32_t part) {
    return unicode::is_white_space(part) || unicode::is_punctuation(part);
  });
  if (is_complex || (parts.size() != 1 && (is_chinese || is_any_apart)))
    return {0, 0, Kind::kComplex};
  if (parts.empty()) return {0, 0, Kind::kNothing};
  if (parts.size() > 1) return {0, 0, Kind::kSeveral};
  if (unicode::is_white_space(parts[0])) return {0, 0, Kind::kSpace};
  if (!is_chinese && !is_any_apart) return {parts[0], 0, Kind::kWord};
  std::vector<Piece> pieces;
  wordpiece_.tokenize(to_utf8(parts), pieces);  // one, or [UNK]
  return {parts[0], pieces[0].id, Kind::kAlone};
}

// One call of encode.
class BertEncoder::Run : public FastPath {
 public:
  Run(const BertEncoder& encoder, std::string_view text, Span range, int32_t word, Encoding& out)
      : FastPath(text, range, word, out), encoder_(encoder) {
    bytes_.clear();
  }

  bool run() {
    while (at_ < text_.size()) {
      if (bytes_.empty()) take_ascii_word();
      if (at_ < text_.size() && !take_code_point()) return false;
    }
    finish_word();
    return true;
  }

 private:
  const BertEncoder& encoder_;

  void take_ascii_word() {
    start_bytes(at_);
    size_t end = at_;
    while (end < text_.size() && encoder_.word_bytes_[static_cast<unsigned char>(text_[end])] != 0)
      ++end;
    bytes_.resize(end - at_);
    for (size_t i = 0; i < bytes_.size(); ++i)
      bytes_[i] = encoder_.word_bytes_[static_cast<unsigned char>(text_[at_ + i])];
    at_ = end;
  }

  bool take_code_point() {
    const size_t begin = at_;
    const auto byte = static_cast<unsigned char>(text_[at_]);
    const char32_t code =
        byte < 0x80 ? static_cast<char32_t>(text_[at_++]) : next_code_point(text_, at_);
    const Effect& effect = byte < 0x80 ? encoder_.ascii_[byte] : encoder_.effects_[code];
    switch (effect.kind) {
      case Kind::kWord:
        append(effect.code, begin);
        break;
      case Kind::kSpace:
        finish_word();
        break;
      case Kind::kNothing:
        break;
      case Kind::kSeveral:
        append_several(code, begin);
        break;
      case Kind::kComplex:
        return false;
      case Kind::kAlone:
        finish_word();
        push(effect.id, {static_cast<int32_t>(begin), static_cast<int32_t>(at_)});
        ++word_;
        break;
    }
    return true;
  }

  void append_several(char32_t code, size_t begin) {
    bool is_complex = false;
    for (const char32_t part : encoder_.normalized(code, is_complex)) append(part, begin);
  }

  // A code point of the word, made of bytes [begin, at_) of the text.
  void append(char32_t code, size_t begin) {
    const size_t before = bytes_.size();
    if (before == 0) start_bytes(begin);
    append_utf8(bytes_, code);
    note_source(before, begin);
  }

  void finish_word() {
    if (bytes_.empty()) return;
    pieces_.clear();
    encoder_.wordpiece_.tokenize(bytes_, pieces_);
    for (const Piece& piece : pieces_) push(piece.id, source(piece.begin, piece.end));
    ++word_;
    bytes_.clear();
  }
};

bool BertEncoder::encode(std::string_view text, Span range, int32_t& word, Encoding& out) const {
  return run_or_undo(Run(*this, text, range, word, out), word, out);
}

}  // namespace hone
