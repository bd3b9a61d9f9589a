#include "data/chat/jinja/lexer.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/utf8.h"
#include "data/chat/jinja/text.h"

namespace hone::jinja {
namespace {

constexpr size_t kMostSourceBytes = 4 << 20;
constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

class Lexer {
 public:
  Lexer(const std::string& source, const std::string& file) : source_(source), file_(file) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_root();
    push(TokenKind::kEnd, "", source_.size());
    return std::move(tokens_);
  }

 private:
  const std::string& source_;
  const std::string& file_;
  std::vector<Token> tokens_;
  size_t at_ = 0;

  [[noreturn]] void fail(size_t at, const std::string& message) const {
    throw Error(ErrorKind::kModel, advance({file_, 1, 1}, source_, at), message);
  }

  void push(TokenKind kind, std::string text, size_t at) {
    tokens_.push_back({kind, std::move(text), at});
  }

  std::string_view rest(size_t at) const {
    return std::string_view(source_).substr(std::min(at, source_.size()));
  }

  size_t behind_space(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!is_python_space(next_code_point(source_, next))) break;
      at = next;
    }
    return at;
  }

  // Text up to a tag whose sign may take white space before it.
  void push_data(size_t begin, size_t end, char sign, bool is_variable) {
    std::string text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = strip(Text(text), false, true, is_python_space).bytes;
    } else if (sign != '+' && !is_variable) {
      const size_t line = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
      const bool begins_line = line > 0 || begin == 0 || source_[begin - 1] == '\n';
      if (begins_line && strip(Text(text.substr(line)), false, true, is_python_space).empty())
        text.resize(line);
    }
    if (!text.empty()) push(TokenKind::kData, std::move(text), begin);
  }

  char sign_at(size_t at) const {
    const char c = at < source_.size() ? source_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  void read_root() {
    const size_t begin = at_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(TokenKind::kData, source_.substr(begin), begin);
        at_ = source_.size();
        return;
      }
      const char kind = source_[tag + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
    }
    const char kind = source_[tag + 1], sign = sign_at(tag + 2);
    push_data(begin, tag, sign, kind == '{');
    at_ = tag + (sign != '\0' ? 3 : 2);
    if (kind == '#') return skip_comment(tag);
    if (kind == '%' && read_raw(tag)) return;
    read_tag(tag, kind == '{');
  }

  void skip_comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail(tag, "this comment has no end: #}");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_block(sign);
  }

  // Behind "%}" or "#}".
  void after_block(char sign) {
    if (sign == '-') {
      at_ = behind_space(at_);
    } else if (sign != '+' && rest(at_).starts_with('\n')) {
      ++at_;
    }
  }

  // {% raw %} … {% endraw %}; false where it is another tag.
  bool read_raw(size_t tag) {
    size_t at = behind_space(at_);
    if (!rest(at).starts_with("raw")) return false;
    at = behind_space(at + 3);
    if (rest(at).starts_with("-%}")) {
      at = behind_space(at + 3);
    } else if (rest(at).starts_with("%}")) {
      at += 2;
    } else {
      return false;
    }
    for (size_t end = at;; ++end) {
      end = source_.find("{%", end);
      if (end == std::string::npos) fail(tag, "this raw block has no end: {% endraw %}");
      const char sign = sign_at(end + 2);
      size_t behind = behind_space(end + (sign != '\0' ? 3 : 2));
      if (!rest(behind).starts_with("endraw")) continue;
      behind = behind_space(behind + 6);
      const char end_sign = sign_at(behind);
      if (end_sign != '\0') ++behind;
      if (!rest(behind).starts_with("%}")) continue;
      push_data(at, end, sign, false);
      at_ = behind + 2;
      after_block(end_sign);
      return true;
    }
  }

  void read_tag(size_t tag, bool is_variable) {
    push(is_variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin,
         is_variable ? "{{" : "{%", tag);
    std::string open;  // brackets that are to be closed, by their closing ones
    for (;;) {
      at_ = behind_space(at_);
      if (at_ >= source_.size())
        fail(tag, fmt::format("this tag has no end: {}", is_variable ? "}}" : "%}"));
      if (open.empty() && take_end(is_variable)) return;
      read_token(open);
    }
  }

  bool take_end(bool is_variable) {
    const std::string_view end = is_variable ? "}}" : "%}";
    const char sign = sign_at(at_);
    const size_t skipped = sign == '-' || (sign == '+' && !is_variable) ? 1 : 0;
    if (!rest(at_ + skipped).starts_with(end)) return false;
    push(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, std::string(end), at_);
    at_ += skipped + 2;
    if (!is_variable) {
      after_block(sign);
    } else if (sign == '-') {
      at_ = behind_space(at_);
    }
    return true;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  void read_token(std::string& open) {
    const char c = source_[at_];
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string();
    if (name_end(at_) > at_) {
      const size_t end = name_end(at_);
      push(TokenKind::kName, source_.substr(at_, end - at_), at_);
      at_ = end;
      return;
    }
    for (const std::string_view known : kOperators) {
      if (!rest(at_).starts_with(known)) continue;
      balance(known, open);
      push(TokenKind::kOperator, std::string(known), at_);
      at_ += known.size();
      return;
    }
    size_t end = at_;
    next_code_point(source_, end);
    fail(at_,
         fmt::format("the character \"{}\" cannot stand here", source_.substr(at_, end - at_)));
  }

  void balance(std::string_view known, std::string& open) const {
    if (known == "{") open += '}';
    if (known == "(") open += ')';
    if (known == "[") open += ']';
    if (known != "}" && known != ")" && known != "]") return;
    if (open.empty()) fail(at_, fmt::format("\"{}\" closes nothing", known));
    if (open.back() != known[0])
      fail(at_, fmt::format("found \"{}\" where \"{}\" was expected", known, open.back()));
    open.pop_back();
  }

  size_t name_end(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      const char32_t c = next_code_point(source_, next);
      const bool is_part = c == '_' || (c != 0xFFFD && u_isalnum(static_cast<UChar32>(c)) != 0);
      if (!is_part) break;
      at = next;
    }
    return at;
  }

  // Digits with underscores between them, from `at` on.
  size_t digits_end(size_t at) const {
    size_t end = at;
    while (end < source_.size() &&
           (is_digit(source_[end]) || (source_[end] == '_' && end > at &&
                                       end + 1 < source_.size() && is_digit(source_[end + 1]))))
      ++end;
    return end;
  }

  void read_number() {
    const char next = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
    const int base = next == 'x' || next == 'X'   ? 16
                     : next == 'o' || next == 'O' ? 8
                     : next == 'b' || next == 'B' ? 2
                                                  : 10;
    if (source_[at_] == '0' && base != 10) return read_based(base);
    size_t end = digits_end(at_);
    bool is_float = false;
    const bool is_behind_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!is_behind_dot && end + 1 < source_.size() && source_[end] == '.' &&
        is_digit(source_[end + 1])) {
      end = digits_end(end + 1);
      is_float = true;
    }
    if (!is_behind_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const size_t sign =
          end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
      const size_t behind = digits_end(end + 1 + sign);
      if (behind > end + 1 + sign) {
        end = behind;
        is_float = true;
      }
    }
    push_number(end, is_float, 10, at_);
  }

  void read_based(int base) {
    size_t end = at_ + 2;
    while (end < source_.size() &&
           (std::isxdigit(static_cast<unsigned char>(source_[end])) != 0 || source_[end] == '_'))
      ++end;
    push_number(end, false, base, at_ + 2);
  }

  void push_number(size_t end, bool is_float, int base, size_t begin) {
    std::string digits = source_.substr(begin, end - begin);
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    Token token{is_float ? TokenKind::kFloat : TokenKind::kInteger, source_.substr(at_, end - at_),
                at_};
    if (is_float) {
      token.number = std::strtod(digits.c_str(), nullptr);
    } else {
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
      if (error != std::errc() || stop != digits.data() + digits.size())
        fail(at_, fmt::format("\"{}\" is no whole number of 64 bits", token.text));
    }
    tokens_.push_back(std::move(token));
    at_ = end;
  }

  void read_string() {
    const size_t begin = at_;
    const char quote = source_[at_++];
    std::string text;
    for (;;) {
      if (at_ >= source_.size()) fail(begin, "this text has no closing quote");
      const char c = source_[at_++];
      if (c == quote) break;
      if (c != '\\') {
        text += c;
      } else {
        read_escape(text);
      }
    }
    push(TokenKind::kString, std::move(text), begin);
  }

  // As in Python's texts.
  void read_escape(std::string& text) {
    if (at_ >= source_.size()) return;
    const char c = source_[at_++];
    static constexpr std::string_view kNames = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t which = kNames.find(c); which != std::string_view::npos) {
      text += kMeanings[which];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(text, read_code(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16));
    } else if (c >= '0' && c <= '7') {
      --at_;
      size_t count = 0;
      while (count < 3 && at_ + count < source_.size() && source_[at_ + count] >= '0' &&
             source_[at_ + count] <= '7')
        ++count;
      append_utf8(text, read_code(count, 8));
    } else if (c == 'N') {
      fail(at_ - 2, "\\N{…} is not available here; write the character itself");
    } else if (c != '\n') {
      text += '\\';
      text += c;
    }
  }

  char32_t read_code(size_t count, int base) {
    const std::string_view digits = rest(at_).substr(0, count);
    uint32_t code = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
    const bool is_whole = error == std::errc() && end == digits.data() + count;
    if (digits.size() < count || !is_whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail(at_ - 2, "this escape is no character");
    at_ += count;
    return code;
  }
};

}  // namespace

std::string normalized_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<Token> tokenize(const std::string& source, const std::string& file) {
  if (source.size() > kMostSourceBytes)
    throw Error(
        ErrorKind::kModel, {file},
        fmt::format("a template of {} bytes; the most is {}", source.size(), kMostSourceBytes));
  if (const size_t bad = invalid_utf8(source); bad != std::string::npos)
    throw Error(ErrorKind::kModel, advance({file, 1, 1}, source, bad), "not valid UTF-8");
  return Lexer(source, file).run();
}

std::string told(const Token& token) {
  if (token.kind == TokenKind::kEnd) return "the end of the template";
  if (token.kind == TokenKind::kData) return "text";
  return fmt::format("\"{}\"", token.text);
}

}  // namespace hone::jinja
