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

std::vector<std::string_view> sentences_of(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  UText source = UTEXT_INITIALIZER;
  utext_openUTF8(&source, text.data(), static_cast<int64_t>(text.size()), &status);
  icu::BreakIterator& breaks = sentence_breaks();
  breaks.setText(&source, status);
  if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "a text cannot be cut into sentences");
  std::vector<std::string_view> sentences;
  int32_t begin = breaks.first(), end = 0;
  while ((end = breaks.next()) != icu::BreakIterator::DONE) {
    const std::string_view one =
        text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    if (!has_no_word(one)) sentences.push_back(one);
    begin = end;
  }
  utext_close(&source);
  return sentences;
}

std::string_view lead(std::string_view text, int64_t sentences) {
  const std::vector<std::string_view> all = sentences_of(text);
  if (sentences <= 0 || all.empty()) return text.substr(0, 0);
  const std::string_view last =
      all[static_cast<size_t>(std::min<int64_t>(sentences, static_cast<int64_t>(all.size())) - 1)];
  return text.substr(0, static_cast<size_t>(last.data() - text.data()) + last.size());
}

}  // namespace hone::metrics
