#include "data/tokenizer/byte_level.h"

#include <array>

#include "base/utf8.h"
#include "data/tokenizer/code_point_table.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

constexpr bool is_visible(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Visible bytes stand for themselves; the others, in their order, for U+0100 and on.
struct Alphabet {
  std::array<char32_t, 256> letters{};
  std::array<int, 0x200> bytes{};  // -1: not a letter of it

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      letters[byte] = is_visible(byte) ? static_cast<char32_t>(byte) : next++;
      bytes[letters[byte]] = byte;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

enum class Kind : char { kLetter, kNumber, kSpace, kOther };

Kind kind_of(char32_t c) {
  if (unicode::is_letter(c)) return Kind::kLetter;
  if (unicode::is_number(c)) return Kind::kNumber;
  return unicode::is_white_space(c) ? Kind::kSpace : Kind::kOther;
}

class Splitter {
 public:
  Splitter(std::string_view text, Span range)
      : text_(text.substr(0, range.end)), begin_(range.start) {}

  void run(std::vector<Span>& out) {
    while (begin_ < text_.size()) {
      const size_t end = end_of_word();
      out.push_back({static_cast<int32_t>(begin_), static_cast<int32_t>(end)});
      begin_ = end;
    }
  }

 private:
  std::string_view text_;
  size_t begin_;

  // The kind of the code point at `at`, moving past it.
  Kind next(size_t& at) const {
    static const CodePointTable<Kind> table(kind_of);
    const auto byte = static_cast<unsigned char>(text_[at]);
    return table[byte < 0x80 ? text_[at++] : next_code_point(text_, at)];
  }

  size_t end_of_run(size_t at, Kind kind) const {
    for (size_t end = at; end < text_.size() && next(end) == kind;) at = end;
    return at;
  }

  size_t end_of_word() const {
    if (text_[begin_] == '\'') {
      if (const size_t size = contraction(text_.substr(begin_))) return begin_ + size;
    }
    size_t at = begin_;
    Kind kind = next(at);
    if (text_[begin_] == ' ' && at < text_.size()) {  // one blank belongs to the word after it
      size_t after = at;
      const Kind following = next(after);
      if (following != Kind::kSpace) {
        at = after;
        kind = following;
      }
    }
    return kind == Kind::kSpace ? end_of_space() : end_of_run(at, kind);
  }

  // White space before a word leaves its last character to that word, if it has more than one:
  // \s+(?!\S)|\s+
  size_t end_of_space() const {
    size_t end = begin_, last = begin_;
    for (size_t at = begin_; at < text_.size() && next(at) == Kind::kSpace;) {
      last = end;
      end = at;
    }
    return end == text_.size() || last == begin_ ? end : last;
  }

  static size_t contraction(std::string_view text) {
    for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (text.starts_with(ending)) return ending.size();
    }
    return 0;
  }
};

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes)
    append_utf8(out, alphabet().letters[static_cast<unsigned char>(byte)]);
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
  Splitter(text, range).run(out);
}

}  // namespace hone
