#include "tasks/metrics/text/bleu_words.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_stop(char32_t c) { return c == U'.' || c == U','; }
bool is_dash(char32_t c) { return c == U'-'; }
bool is_no_ascii_digit(char32_t c) { return !is_ascii_digit(c); }

// ASCII marks and the blank, but for ' , - and .
bool is_mteval_mark(char32_t c) {
  return (c >= U' ' && c <= U'&') || (c >= U'(' && c <= U'+') || c == U'/' ||
         (c >= U':' && c <= U'@') || (c >= U'[' && c <= U'`') || (c >= U'{' && c <= U'~');
}

bool has_category(char32_t c, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0;
}
bool is_number(char32_t c) { return has_category(c, U_GC_N_MASK); }
bool is_no_number(char32_t c) { return !is_number(c); }
bool is_punctuation(char32_t c) { return has_category(c, U_GC_P_MASK); }
bool is_symbol(char32_t c) { return has_category(c, U_GC_S_MASK); }

using Is = bool (*)(char32_t c);

// Blanks around each character that is one.
std::u32string apart(std::u32string_view text, Is is) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (is(c)) {
      out.append({U' ', c, U' '});
    } else {
      out += c;
    }
  }
  return out;
}

enum class Around { kFirst, kSecond };

// Blanks around one of two neighbours that are so; each character belongs to one pair at most.
std::u32string pairs_apart(std::u32string_view text, Is first, Is second, Around which) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_pair = i + 1 < text.size() && first(text[i]) && second(text[i + 1]);
    if (!is_pair) {
      out += text[i];
    } else if (which == Around::kFirst) {
      out.append({U' ', text[i], U' ', text[i + 1]});
      ++i;
    } else {
      out.append({text[i], U' ', text[i + 1], U' '});
      ++i;
    }
  }
  return out;
}

// mteval-v13a's part for Western languages.
std::u32string western(std::u32string_view text) {
  std::u32string out = apart(text, is_mteval_mark);
  out = pairs_apart(out, is_no_ascii_digit, is_stop, Around::kSecond);
  out = pairs_apart(out, is_stop, is_no_ascii_digit, Around::kFirst);
  return pairs_apart(out, is_ascii_digit, is_dash, Around::kSecond);
}

void replace_all(std::u32string& text, std::u32string_view what, std::u32string_view by) {
  std::u32string out;
  size_t begin = 0;
  for (size_t found = text.find(what); found != text.npos; found = text.find(what, begin)) {
    out.append(text, begin, found - begin).append(by);
    begin = found + what.size();
  }
  if (begin > 0) text = out.append(text, begin);
}

std::u32string mteval_13a(std::u32string_view text) {
  std::u32string out(text);
  for (const auto& [what, by] :
       std::initializer_list<std::pair<std::u32string_view, std::u32string_view>>{
           {U"<skipped>", U""},
           {U"-\n", U""},
           {U"\n", U" "},
           {U"&quot;", U"\""},
           {U"&amp;", U"&"},
           {U"&lt;", U"<"},
           {U"&gt;", U">"}})
    replace_all(out, what, by);
  return western(U' ' + out + U' ');
}

// The ranges that sacrebleu calls Chinese. Two of its ranges beyond U+FFFF are written so that they
// hold U+2001 to U+2A6D and U+2F81 to U+2FA1 instead: marks such as – “ ” … stand alone, too, and
// characters of extension B do not. Scores that are compared must do the same.
bool is_zh(char32_t c) {
  static constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x2001, 0x2A6D}, {0x2E80, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F}, {0x31A0, 0x31EF},
      {0x3200, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
      {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

std::u32string_view stripped(std::u32string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string international(std::u32string_view text) {
  std::u32string out = pairs_apart(text, is_no_number, is_punctuation, Around::kSecond);
  out = pairs_apart(out, is_punctuation, is_no_number, Around::kFirst);
  return apart(out, is_symbol);
}

}  // namespace

std::u32string with_blanks(std::u32string_view text, BleuTokenizer tokenizer) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  switch (tokenizer) {
    case BleuTokenizer::k13a:
      return mteval_13a(text);
    case BleuTokenizer::kZh:
      return western(apart(stripped(text), is_zh));
    case BleuTokenizer::kChar:
      return apart(text, [](char32_t) { return true; });
    case BleuTokenizer::kIntl:
      return international(text);
    case BleuTokenizer::kNone:
    case BleuTokenizer::kAuto:
      break;
  }
  return std::u32string(text);
}

bool is_cjk(char32_t c) {
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(static_cast<UChar32>(c), &status);
  return script == USCRIPT_HAN || script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ||
         script == USCRIPT_BOPOMOFO;
}

}  // namespace hone::metrics
