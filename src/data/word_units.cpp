#include "data/word_units.h"

#include <unicode/ubrk.h>
#include <unicode/uscript.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"

namespace hone {
namespace {

bool is_of_such_script(UChar32 c) {
  constexpr std::array kScripts = {USCRIPT_HAN, USCRIPT_HIRAGANA, USCRIPT_KATAKANA, USCRIPT_THAI,
                                   USCRIPT_LAO, USCRIPT_KHMER,    USCRIPT_MYANMAR};
  if (c < 0x0E00) return false;  // the first of them is Thai
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(c, &status);
  return std::find(kScripts.begin(), kScripts.end(), script) != kScripts.end();
}

bool has_such(std::string_view text, Span span) {
  UChar32 c;
  for (int32_t at = span.start; at < span.end;) {
    U8_NEXT(text.data(), at, span.end, c);
    if (is_of_such_script(c)) return true;
  }
  return false;
}

struct Closer {
  void operator()(UBreakIterator* words) const { ubrk_close(words); }
  void operator()(UText* text) const { utext_close(text); }
};

void check_icu(UErrorCode status) {
  if (U_FAILURE(status))
    throw Error(ErrorKind::kInternal, std::string("ICU finds no words: ") + u_errorName(status));
}

// Made once a thread: it reads rules and dictionaries.
UBreakIterator* word_finder() {
  thread_local const std::unique_ptr<UBreakIterator, Closer> finder = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<UBreakIterator, Closer> made(ubrk_open(UBRK_WORD, "", nullptr, 0, &status));
    check_icu(status);
    return made;
  }();
  return finder.get();
}

// Tells `take` of each stretch between two bounds, and whether it is a word.
template <typename Take>
void for_each_stretch(std::string_view text, Take&& take) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UText, Closer> bytes(
      utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status));
  check_icu(status);
  UBreakIterator* finder = word_finder();
  ubrk_setUText(finder, bytes.get(), &status);
  check_icu(status);
  int32_t begin = ubrk_first(finder);
  for (int32_t end = ubrk_next(finder); end != UBRK_DONE; begin = end, end = ubrk_next(finder))
    take(Span{begin, end}, ubrk_getRuleStatus(finder) >= UBRK_WORD_NONE_LIMIT);
}

// Whether a word ends or begins before each byte of the text, and at its end.
std::vector<bool> word_bounds(std::string_view text) {
  std::vector<bool> bounds(text.size() + 1, false);
  bounds[0] = true;
  for_each_stretch(text,
                   [&](Span stretch, bool) { bounds[static_cast<size_t>(stretch.end)] = true; });
  return bounds;
}

bool any_in(const std::vector<bool>& bounds, int32_t first, int32_t last) {
  for (int32_t at = first; at <= last; ++at) {
    if (bounds[static_cast<size_t>(at)]) return true;
  }
  return false;
}

}  // namespace

bool is_written_without_blanks(std::string_view text) {
  return has_such(text, {0, static_cast<int32_t>(text.size())});
}

std::vector<int32_t> words_of_pieces(std::string_view text, const Encoding& pieces) {
  if (!is_written_without_blanks(text)) return pieces.words;
  const std::vector<bool> bounds = word_bounds(text);
  std::vector<int32_t> words(pieces.ids.size(), 0);
  for (size_t i = 1; i < words.size(); ++i) {
    const Span before = pieces.offsets[i - 1], here = pieces.offsets[i];
    const bool begins = has_such(text, before) || has_such(text, here)
                            ? any_in(bounds, before.end, here.start)
                            : pieces.words[i] != pieces.words[i - 1];
    words[i] = words[i - 1] + (begins ? 1 : 0);
  }
  return words;
}

std::vector<Span> words_of_text(std::string_view text) {
  std::vector<Span> words;
  for_each_stretch(text, [&](Span stretch, bool is_word) {
    if (is_word) words.push_back(stretch);
  });
  return words;
}

}  // namespace hone
