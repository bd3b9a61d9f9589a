#include "tasks/metrics/words.h"

#include <unicode/locid.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/utf8.h"

namespace hone::metrics {
namespace {

// Python's \w.
bool is_of_word(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_L_MASK | U_GC_N_MASK)) != 0 || c == U'_';
}
bool is_ascii_mark(char32_t c) {
  return c > 0x20 && c < 0x7F && u_isalnum(static_cast<UChar32>(c)) == 0;
}

// `run` has no blank in it; its articles are gone, which splits it.
void add_without_articles(std::u32string_view run, std::vector<std::string>& words) {
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t begin = 0, end = 0; begin < run.size(); begin = end) {
    const bool is_word = is_of_word(run[begin]);
    while (end < run.size() && is_of_word(run[end]) == is_word) ++end;
    const std::u32string_view part = run.substr(begin, end - begin);
    if (part == U"a" || part == U"an" || part == U"the") {
      flush();
    } else {
      word += to_utf8(part);
    }
  }
  flush();
}

// A place of a text that is rewritten.
struct Rule {
  const char16_t* pattern;
  const char16_t* by;
};

// In this order, each over the whole text.
constexpr Rule kTreebank[] = {
    {u"([«“‘„]|`+)", u" $1 "},
    {u"^\"", u"``"},
    {u"``", u" `` "},
    {u"([ (\\[{<])(\"|'')", u"$1 `` "},
    {u"(?<!\\w)'(?!(?:re|ve|ll|m|t|s|d|n)\\b)(?=\\w)", u"' "},
    {u"([^.])(\\.)([\\])}>\"'»”’ ]*+)\\s*$", u"$1 $2 $3 "},
    {u"([:,])([^\\d])", u" $1 $2"},
    {u"([:,])$", u" $1 "},
    {u"\\.{2,}", u" $0 "},
    {u"[;@#$%&]", u" $0 "},
    {u"[\\u2012-\\u2015]", u" $0 "},
    {u"([^.])(\\.)([\\])}>\"']*)\\s*$", u"$1 $2$3 "},
    {u"[?!]", u" $0 "},
    {u"([^'])' ", u"$1 ' "},
    {u"\\*", u" $0 "},
    {u"[\\]\\[(){}<>]", u" $0 "},
    {u"--", u" -- "},
    {u"^|$", u" "},
    {u"[»”’]", u" $0 "},
    {u"''", u" '' "},
    {u"\"", u" '' "},
    {u"\\s+", u" "},
    {u"([^' ])('[smd]|') ", u"$1 $2 "},
    {u"([^' ])('ll|'re|'ve|n't) ", u"$1 $2 "},
    {u"\\b(can)(not)\\b", u" $1 $2 "},
    {u"\\b(d)('ye)\\b", u" $1 $2 "},
    {u"\\b(gim|lem)(me)\\b", u" $1 $2 "},
    {u"\\b(gon)(na)\\b", u" $1 $2 "},
    {u"\\b(got)(ta)\\b", u" $1 $2 "},
    {u"\\b(more)('n)\\b", u" $1 $2 "},
    {u"\\b(wan)(na)(?=\\s)", u" $1 $2 "},
    {u" ('t)(is|was)\\b", u" $1 $2 "},
};

using Pattern = std::unique_ptr<icu::RegexPattern>;

Pattern compiled(const char16_t* pattern) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError where;
  Pattern result(icu::RegexPattern::compile(icu::UnicodeString(pattern), where, status));
  if (U_FAILURE(status))
    throw Error(ErrorKind::kInternal, "a pattern of the Penn Treebank's rules is no pattern");
  return result;
}

icu::UnicodeString rewritten(const icu::RegexPattern& pattern, const char16_t* by,
                             const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(pattern.matcher(text, status));
  icu::UnicodeString result = matcher->replaceAll(icu::UnicodeString(by), status);
  if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "a text cannot be split into words");
  return result;
}

}  // namespace

std::u32string lower_points(std::string_view text) {
  std::u32string points = from_utf8(text);
  const bool is_ascii =
      std::all_of(points.begin(), points.end(), [](char32_t c) { return c < 0x80; });
  if (is_ascii) {
    for (char32_t& c : points) c = c >= U'A' && c <= U'Z' ? c + (U'a' - U'A') : c;
    return points;
  }
  std::string out;
  icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())))
      .toLower(icu::Locale::getRoot())
      .toUTF8String(out);
  return from_utf8(out);
}

bool is_blank(char32_t c) {
  return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0 || (c >= 0x1C && c <= 0x1F);
}

std::vector<std::u32string_view> split_at_blanks(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    for (end = begin; end < text.size() && !is_blank(text[end]);) ++end;
    if (end > begin) words.push_back(text.substr(begin, end - begin));
  }
  return words;
}

std::string trimmed_lower(std::string_view text) {
  std::u32string low = lower_points(text);
  while (!low.empty() && is_blank(low.back())) low.pop_back();
  size_t begin = 0;
  while (begin < low.size() && is_blank(low[begin])) ++begin;
  return to_utf8(low.substr(begin));
}

std::vector<std::string> plain_words(std::string_view text) {
  std::u32string low = lower_points(text);
  std::erase_if(low, is_ascii_mark);
  std::vector<std::string> words;
  for (const std::u32string_view run : split_at_blanks(low)) add_without_articles(run, words);
  return words;
}

std::vector<std::string> treebank_words(const std::string& text) {
  static const std::vector<Pattern> kPatterns = [] {
    std::vector<Pattern> patterns;
    for (const Rule& rule : kTreebank) patterns.push_back(compiled(rule.pattern));
    return patterns;
  }();
  icu::UnicodeString now = icu::UnicodeString::fromUTF8(text);
  for (size_t i = 0; i < kPatterns.size(); ++i)
    now = rewritten(*kPatterns[i], kTreebank[i].by, now);
  std::string out;
  now.toUTF8String(out);
  const std::u32string points = from_utf8(out);
  std::vector<std::string> words;
  for (const std::u32string_view word : split_at_blanks(points)) words.push_back(to_utf8(word));
  return words;
}

}  // namespace hone::metrics
