#include "data/chat/jinja/text.h"

#include <fmt/format.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "base/utf8.h"

namespace hone::jinja {
namespace {

enum class CaseOf { kUpper, kLower, kTitle };

// The full mapping of one character, which may be several ("ß" becomes "SS").
std::string mapped(char32_t c, CaseOf to) {
  std::string out;
  if (c < 0x80) {
    const bool is_up = to != CaseOf::kLower;
    const char byte = static_cast<char>(c);
    if (is_up && byte >= 'a' && byte <= 'z') return {static_cast<char>(byte - 'a' + 'A')};
    if (!is_up && byte >= 'A' && byte <= 'Z') return {static_cast<char>(byte - 'A' + 'a')};
    return {byte};
  }
  icu::UnicodeString text(static_cast<UChar32>(c));
  if (to == CaseOf::kUpper) text.toUpper(icu::Locale::getRoot());
  if (to == CaseOf::kLower) text.toLower(icu::Locale::getRoot());
  if (to == CaseOf::kTitle) text.toTitle(nullptr, icu::Locale::getRoot());
  text.toUTF8String(out);
  return out;
}

bool is_cased(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASED); }
bool is_case_ignorable(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASE_IGNORABLE);
}

// A capital sigma at the end of a word has a small form of its own.
bool is_final_sigma(const std::u32string& text, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  size_t after = at + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return before > 0 && is_cased(text[before - 1]) &&
         !(after < text.size() && is_cased(text[after]));
}

// Each character mapped as `to` says for it.
template <typename To>
Text map_case(const Text& text, const To& to) {
  constexpr char32_t kSigma = 0x3A3, kSmallFinalSigma = 0x3C2;
  const std::u32string characters = from_utf8(text.bytes);
  Text out;
  size_t at = 0;
  for (size_t i = 0; i < characters.size(); ++i) {
    const char mark = text.mark_at(at);
    next_code_point(text.bytes, at);
    const CaseOf how = to(characters, i);
    std::string now = mapped(characters[i], how);
    if (how == CaseOf::kLower && characters[i] == kSigma && is_final_sigma(characters, i))
      now = to_utf8(std::u32string(1, kSmallFinalSigma));
    out.append(now, mark);
  }
  return out;
}

// Some character has the case, and none that has a case has another.
bool has_only(const Text& text, UProperty which) {
  bool has_any = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(next_code_point(text.bytes, at));
    const bool has_it = u_hasBinaryProperty(c, which);
    const bool has_other = u_hasBinaryProperty(c, UCHAR_UPPERCASE) ||
                           u_hasBinaryProperty(c, UCHAR_LOWERCASE) ||
                           u_charType(c) == U_TITLECASE_LETTER;
    if (has_other && !has_it) return false;
    has_any = has_any || has_it;
  }
  return has_any;
}

bool is_word_border(char32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_python_space(c);
}

// The bytes of the line end at `at`, 0 where there is none.
size_t python_line_end(std::string_view text, size_t at) {
  if (text.substr(at).starts_with("\r\n")) return 2;
  size_t end = at;
  const char32_t c = next_code_point(text, end);
  const bool is_end = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
  return is_end ? end - at : 0;
}

std::string escaped_character(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c == '\\') return "\\\\";
  if (c < 0x100) return fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
  if (c < 0x10000) return fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  return fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
}

template <typename IsDropped>
Text strip_where(const Text& text, bool left, bool right, const IsDropped& is_dropped) {
  const std::vector<size_t> starts = character_starts(text.bytes);
  size_t first = 0, last = starts.size() - 1;
  const auto character = [&](size_t i) {
    size_t at = starts[i];
    return next_code_point(text.bytes, at);
  };
  while (left && first < last && is_dropped(character(first))) ++first;
  while (right && last > first && is_dropped(character(last - 1))) --last;
  return text.part(starts[first], starts[last]);
}

}  // namespace

Text Text::part(size_t begin, size_t end) const {
  Text out;
  if (begin >= end) return out;
  out.bytes = bytes.substr(begin, end - begin);
  out.marks = marks.substr(begin, end - begin);
  return out;
}

std::vector<size_t> character_starts(std::string_view text) {
  std::vector<size_t> starts;
  starts.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size(); next_code_point(text, at)) starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (u_charType(static_cast<UChar32>(c))) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR:
      return false;
    default:
      return true;
  }
}

Text strip(const Text& text, bool left, bool right, bool (*is_dropped)(char32_t)) {
  return strip_where(text, left, right, is_dropped);
}

Text strip(const Text& text, bool left, bool right, std::string_view characters) {
  const std::u32string dropped = from_utf8(characters);
  return strip_where(text, left, right,
                     [&](char32_t c) { return dropped.find(c) != std::u32string::npos; });
}

Text upper(const Text& text) {
  return map_case(text, [](const std::u32string&, size_t) { return CaseOf::kUpper; });
}

Text lower(const Text& text) {
  return map_case(text, [](const std::u32string&, size_t) { return CaseOf::kLower; });
}

Text capitalize(const Text& text) {
  return map_case(text, [](const std::u32string&, size_t i) {
    return i == 0 ? CaseOf::kTitle : CaseOf::kLower;
  });
}

Text title(const Text& text) {
  return map_case(text, [](const std::u32string& all, size_t i) {
    return i > 0 && is_cased(all[i - 1]) ? CaseOf::kLower : CaseOf::kTitle;
  });
}

Text title_filter(const Text& text) {
  const std::vector<size_t> starts = character_starts(text.bytes);
  const std::u32string all = from_utf8(text.bytes);
  Text out;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() && is_word_border(all[end]) == is_word_border(all[begin])) ++end;
    out.append(upper(text.part(starts[begin], starts[begin + 1])));
    out.append(lower(text.part(starts[begin + 1], starts[end])));
    begin = end;
  }
  return out;
}

bool is_upper_case(const Text& text) { return has_only(text, UCHAR_UPPERCASE); }
bool is_lower_case(const Text& text) { return has_only(text, UCHAR_LOWERCASE); }

Text quoted(const Text& text) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const bool has_double = text.bytes.find('"') != std::string::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  Text out(std::string_view(&quote, 1));
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text.bytes, at);
    if (c == static_cast<char32_t>(quote)) out.append("\\", text.marks[begin]);
    if (c != '\\' && is_printable(c)) {
      out.append(text.part(begin, at));
    } else {
      out.append(escaped_character(c), text.marks[begin]);
    }
  }
  out.append(std::string_view(&quote, 1), 0);
  return out;
}

std::vector<Text> split_lines(const Text& text, bool keeps_ends) {
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = python_line_end(text.bytes, at);
    if (length == 0) {
      next_code_point(text.bytes, at);
      continue;
    }
    lines.push_back(text.part(begin, keeps_ends ? at + length : at));
    begin = at += length;
  }
  if (begin < text.size()) lines.push_back(text.part(begin, text.size()));
  return lines;
}

}  // namespace hone::jinja
