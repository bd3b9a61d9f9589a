#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <unordered_set>

#include "base/file.h"
#include "base/utf8.h"

namespace hone {
namespace {

constexpr int kMaxDepth = 512;
// A file of a model may come from anybody. A value takes up to a hundred bytes of memory, and
// written as "[]," only three of the file: a vocabulary of 500,000 tokens and their merges has two
// million.
constexpr size_t kMostModelValues = 4'000'000;
constexpr size_t kFewKeys =
    12;  // up to here a duplicate key is looked for one by one, beyond in a hash set

// A recursive-descent parser of RFC 8259 that builds the value directly. nlohmann's own parser
// drops the first of two equal keys without a word, and searches all earlier keys for each one:
// quadratic in a vocabulary of 250,000 entries.
class Parser {
 public:
  Parser(std::string_view text, const Where& where, ErrorKind kind, size_t most_values)
      : text_(text), where_(where), kind_(kind), most_values_(most_values) {}

  Json document() {
    Json value;
    skip_space();
    parse_value(value, 0);
    skip_space();
    if (at_ < text_.size())
      fail(at_, fmt::format("{} after the end of the JSON value", found(at_)));
    return value;
  }

 private:
  using Object = Json::object_t;

  [[noreturn]] void fail(size_t at, const std::string& message) const {
    throw Error(kind_, place(at), "not valid JSON: " + message);
  }

  Where place(size_t at) const {
    const Where start{where_.file, std::max<int64_t>(where_.line, 1),
                      std::max<int64_t>(where_.column, 1)};
    return advance(start, text_, at);
  }

  void count_value() {
    if (++values_ > most_values_)
      throw Error(kind_, place(at_),
                  fmt::format("more than {} values, keys counted; {} has as many", most_values_,
                              kind_ == ErrorKind::kModel ? "no model" : "no row of data"));
  }

  std::string found(size_t at) const {
    if (at >= text_.size()) return "the text ends";
    const unsigned char c = static_cast<unsigned char>(text_[at]);
    if (c < 0x20 || c == 0x7F) return fmt::format("found the control character 0x{:02X}", c);
    size_t end = at;
    next_code_point(text_, end);
    if (invalid_utf8(text_.substr(at, end - at)) == 0)
      return fmt::format("found the byte 0x{:02X}, which is not UTF-8,", c);
    return fmt::format("found '{}'", text_.substr(at, end - at));
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void parse_value(Json& out, int depth) {
    if (at_ >= text_.size()) fail(at_, "the text ends where a value should begin");
    count_value();
    switch (text_[at_]) {
      case '{':
        return parse_object(out, depth);
      case '[':
        return parse_array(out, depth);
      case '"': {
        out = std::string();
        return parse_string(out.get_ref<std::string&>());
      }
      case 't':
        return parse_word("true", true, out);
      case 'f':
        return parse_word("false", false, out);
      case 'n':
        return parse_word("null", nullptr, out);
      default:
        return parse_number(out);
    }
  }

  void parse_word(std::string_view word, const Json& value, Json& out) {
    if (text_.substr(at_, word.size()) != word)
      fail(at_, fmt::format("{} where \"{}\" was expected", found(at_), word));
    at_ += word.size();
    out = value;
  }

  void check_depth(int depth) const {
    if (depth >= kMaxDepth) fail(at_, fmt::format("nested deeper than {} levels", kMaxDepth));
  }

  void parse_array(Json& out, int depth) {
    check_depth(depth);
    ++at_;
    out = Json::array();
    auto& items = out.get_ref<Json::array_t&>();
    skip_space();
    if (take(']')) return;
    for (;;) {
      parse_value(items.emplace_back(), depth + 1);
      skip_space();
      if (take(']')) return;
      if (!take(',')) fail(at_, fmt::format("{} where ',' or ']' was expected", found(at_)));
      skip_space();
    }
  }

  void parse_object(Json& out, int depth) {
    check_depth(depth);
    ++at_;
    out = Json::object();
    auto& members = out.get_ref<Object&>();
    std::unordered_set<std::string> seen;  // filled only where there are many keys
    skip_space();
    if (take('}')) return;
    for (;;) {
      const size_t key_at = at_;
      if (at_ >= text_.size() || text_[at_] != '"')
        fail(at_, fmt::format("{} where a key in quotes was expected", found(at_)));
      std::string key;
      count_value();
      parse_string(key);
      refuse_duplicate(key, key_at, members, seen);
      skip_space();
      if (!take(':')) fail(at_, fmt::format("{} where ':' was expected after the key", found(at_)));
      skip_space();
      // ordered_map is a vector of pairs: appending there avoids its search through all earlier
      // keys.
      auto& pairs = static_cast<Object::Container&>(members);
      make_room(pairs);
      pairs.emplace_back(std::move(key), Json());
      parse_value(pairs.back().second, depth + 1);
      skip_space();
      if (take('}')) return;
      if (!take(',')) fail(at_, fmt::format("{} where ',' or '}}' was expected", found(at_)));
      skip_space();
    }
  }

  // A vector of pairs with constant keys copies them when it grows, values and all; here the values
  // move.
  static void make_room(Object::Container& pairs) {
    if (pairs.size() < pairs.capacity()) return;
    Object::Container larger;
    larger.reserve(std::max<size_t>(4, 2 * pairs.size()));
    for (auto& [key, value] : pairs) larger.emplace_back(key, std::move(value));
    pairs = std::move(larger);
  }

  void refuse_duplicate(const std::string& key, size_t at, const Object& members,
                        std::unordered_set<std::string>& seen) const {
    bool is_new = true;
    if (members.size() < kFewKeys) {
      for (const auto& [name, value] : members) is_new = is_new && name != key;
    } else {
      if (seen.empty()) {
        for (const auto& [name, value] : members) seen.insert(name);
      }
      is_new = seen.insert(key).second;
    }
    if (!is_new)
      fail(at,
           fmt::format("the key \"{}\" stands twice in one object; remove one of the two", key));
  }

  void parse_string(std::string& out) {
    const size_t open = at_++;
    for (;;) {
      const size_t start = at_;
      unsigned char c = 0x20, all = 0;
      while (at_ < text_.size() && (c = static_cast<unsigned char>(text_[at_])) != '"' &&
             c != '\\' && c >= 0x20) {
        all |= c;
        ++at_;
      }
      const std::string_view plain = text_.substr(start, at_ - start);
      if (all >= 0x80) {
        const size_t bad = invalid_utf8(plain);
        if (bad != std::string_view::npos) fail(start + bad, found(start + bad) + " in a string");
      }
      out.append(plain);
      if (at_ >= text_.size()) fail(open, "this string has no closing quote");
      if (c < 0x20)
        fail(at_, fmt::format("{} in a string; it must be written as an escape", found(at_)));
      ++at_;
      if (c == '"') return;
      parse_escape(out);
    }
  }

  void parse_escape(std::string& out) {
    const size_t at = at_ - 1;
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out.push_back(c);
        return;
      case 'b':
        out.push_back('\b');
        return;
      case 'f':
        out.push_back('\f');
        return;
      case 'n':
        out.push_back('\n');
        return;
      case 'r':
        out.push_back('\r');
        return;
      case 't':
        out.push_back('\t');
        return;
      case 'u':
        break;
      default:
        fail(at, "unknown escape in a string");
    }
    char32_t code = hex4(at);
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const char32_t low = hex4(at);
      if (low < 0xDC00 || low > 0xDFFF) fail(at, "half a surrogate pair in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code >= 0xD800 && code < 0xE000) fail(at, "half a surrogate pair in a string");
    append_utf8(out, code);
  }

  char32_t hex4(size_t at) {
    uint32_t value = 0;
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4)
      fail(at, "\\u needs four hexadecimal digits");
    at_ += 4;
    return value;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_digits(size_t start) {
    if (!is_digit(peek()))
      fail(at_ == start ? start : at_, fmt::format("{} where a value was expected", found(at_)));
    while (is_digit(peek())) ++at_;
  }

  void parse_number(Json& out) {
    const size_t start = at_;
    bool is_whole = true;
    take('-');
    if (!take('0')) skip_digits(start);
    if (is_digit(peek())) fail(start, "a number may not begin with 0");
    if (take('.')) {
      is_whole = false;
      skip_digits(start);
    }
    if (peek() == 'e' || peek() == 'E') {
      is_whole = false;
      ++at_;
      if (!take('+')) take('-');
      skip_digits(start);
    }
    store_number(text_.substr(start, at_ - start), start, is_whole, out);
  }

  void store_number(std::string_view digits, size_t start, bool is_whole, Json& out) const {
    const char *first = digits.data(), *last = first + digits.size();
    int64_t negative = 0;
    uint64_t whole = 0;  // as nlohmann keeps numbers without a sign
    if (is_whole && digits[0] != '-' && std::from_chars(first, last, whole).ec == std::errc()) {
      out = whole;
    } else if (is_whole && digits[0] == '-' &&
               std::from_chars(first, last, negative).ec == std::errc()) {
      out = negative;
    } else {
      double number = 0;
      const auto [end, error] = std::from_chars(first, last, number);
      // from_chars reports both ends of the range alike; a value too small for a double is 0, one
      // too large is an error.
      if (error == std::errc::result_out_of_range)
        number = std::strtod(std::string(digits).c_str(), nullptr);
      if (std::isinf(number)) fail(start, fmt::format("the number {} is too large", digits));
      out = number;
    }
  }

  std::string_view text_;
  const Where& where_;
  ErrorKind kind_;
  size_t values_ = 0, most_values_;
  size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const Where& where, ErrorKind kind, size_t most_values) {
  if (kind == ErrorKind::kModel) most_values = std::min(most_values, kMostModelValues);
  return Parser(text, where, kind, most_values).document();
}

std::string to_text(const Json& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Json read_json(const std::string& path, ErrorKind kind) {
  const std::string text = read_file(path, kind);
  std::string_view view = text;
  if (view.starts_with("\xEF\xBB\xBF")) view.remove_prefix(3);
  return parse_json(view, Where{path, 1, 0}, kind);
}

}  // namespace hone
