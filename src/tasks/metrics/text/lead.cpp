#include "tasks/metrics/text/lead.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/utf8.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

icu::BreakIterator& sentence_breaks() {
  thread_local const std::unique_ptr<icu::BreakIterator> breaks = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(
        icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), status));
    if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "ICU has no rules of sentences");
    return made;
  }();
  return *breaks;
}

bool has_no_word(std::string_view text) {
  const std::u32string points = from_utf8(text);
  return std::all_of(points.begin(), points.end(), is_blank);
}

}  // namespace

std::string_view lead(std::string_view text, int64_t sentences) {
  UErrorCode status = U_ZERO_ERROR;
  UText source = UTEXT_INITIALIZER;
  utext_openUTF8(&source, text.data(), static_cast<int64_t>(text.size()), &status);
  icu::BreakIterator& breaks = sentence_breaks();
  breaks.setText(&source, status);
  if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "a text cannot be cut into sentences");
  int64_t found = 0;
  int32_t begin = breaks.first(), end = 0;
  while (found < sentences && (end = breaks.next()) != icu::BreakIterator::DONE) {
    found += has_no_word(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)))
                 ? 0
                 : 1;
    begin = end;
  }
  utext_close(&source);
  return text.substr(0, static_cast<size_t>(begin));
}

}  // namespace hone::metrics
