#include "tasks/metrics/text/differences.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <memory>

#include "base/error.h"
#include "base/utf8.h"
#include "tasks/metrics/text/bleu_words.h"
#include "tasks/metrics/text/lcs.h"
#include "tasks/metrics/text/ngrams.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

// A word or a mark, and the blanks behind it. The first one of a text may be blanks alone.
struct Unit {
  std::u32string word, blanks;
};

// Characters as people count them: each with the marks that belong to it.
std::vector<std::u32string> clusters_of(std::string_view text) {
  const icu::UnicodeString all = icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
  if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "ICU has no rules of characters");
  breaks->setText(all);
  std::vector<std::u32string> clusters;
  int32_t begin = breaks->first();
  for (int32_t end = breaks->next(); end != icu::BreakIterator::DONE; end = breaks->next()) {
    std::string cluster;
    all.tempSubStringBetween(begin, end).toUTF8String(cluster);
    clusters.push_back(from_utf8(cluster));
    begin = end;
  }
  return clusters;
}

bool joins_words(char32_t c) {
  return (u_isalnum(static_cast<UChar32>(c)) != 0 || c == U'_') && !is_cjk(c);
}

std::vector<Unit> units_of(std::string_view text) {
  std::vector<Unit> units;
  bool is_in_word = false;
  for (const std::u32string& cluster : clusters_of(text)) {
    const bool joins = joins_words(cluster.front()), blank = is_blank(cluster.front());
    if (blank) {
      if (units.empty()) units.emplace_back();
      units.back().blanks += cluster;
    } else if (joins && is_in_word) {
      units.back().word += cluster;
    } else {
      units.push_back({cluster, {}});
    }
    is_in_word = joins;
  }
  return units;
}

void add_part(const std::u32string& text, bool is_shared, std::vector<TextPart>& parts) {
  if (text.empty()) return;
  if (parts.empty() || parts.back().is_shared != is_shared) parts.push_back({"", is_shared});
  parts.back().text += to_utf8(text);
}

// Blanks between what is shared and what is not are shown as shared.
std::vector<TextPart> parts_of(const std::vector<Unit>& units, const std::vector<bool>& is_shared) {
  std::vector<TextPart> parts;
  for (size_t i = 0; i < units.size(); ++i) {
    add_part(units[i].word, is_shared[i], parts);
    add_part(units[i].blanks, is_shared[i] || i + 1 == units.size() || is_shared[i + 1], parts);
  }
  return parts;
}

std::vector<int32_t> numbers_of_words(const std::vector<Unit>& units, WordNumbers& numbers) {
  std::vector<int32_t> words;
  for (const Unit& unit : units) words.push_back(numbers.of(unit.word));
  return words;
}

}  // namespace

Differences differences(std::string_view a, std::string_view b) {
  const std::vector<Unit> units_a = units_of(a), units_b = units_of(b);
  WordNumbers numbers;
  CommonSubsequence of_a(numbers_of_words(units_a, numbers));
  std::vector<bool> shared_a(units_a.size()), shared_b(units_b.size());
  for (const auto& [i, j] : of_a.places(numbers_of_words(units_b, numbers)))
    shared_a[static_cast<size_t>(i)] = shared_b[static_cast<size_t>(j)] = true;
  return {parts_of(units_a, shared_a), parts_of(units_b, shared_b)};
}

}  // namespace hone::metrics
