#include "tasks/metrics/answer_match.h"

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

#include "base/utf8.h"
#include "tasks/metrics/common_stretch.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

using Words = std::vector<std::string>;

double f1_of(double shared, size_t predicted, size_t gold) {
  if (shared == 0) return 0;
  const double precision = shared / static_cast<double>(predicted),
               recall = shared / static_cast<double>(gold);
  return 2 * precision * recall / (precision + recall);
}

// Words in common, each as often as in both.
double shared_words(const Words& a, const Words& b) {
  std::map<std::string, int64_t> counts;
  for (const std::string& word : a) ++counts[word];
  return static_cast<double>(std::count_if(
      b.begin(), b.end(), [&](const std::string& word) { return counts[word]-- > 0; }));
}

AnswerMatch match_words(const Words& predicted, const Words& gold) {
  const double exact = predicted == gold ? 1 : 0;
  if (predicted.empty() || gold.empty()) return {exact, exact};
  return {exact, f1_of(shared_words(predicted, gold), predicted.size(), gold.size())};
}

// The length of the longest stretch of both.
size_t longest_shared(const Words& a, const Words& b) {
  std::unordered_map<std::string_view, int32_t> numbers;
  const auto numbers_of = [&](const Words& words) {
    std::vector<int32_t> all;
    for (const std::string& word : words)
      all.push_back(numbers.try_emplace(word, static_cast<int32_t>(numbers.size())).first->second);
    return all;
  };
  const std::vector<int32_t> numbers_of_a = numbers_of(a), numbers_of_b = numbers_of(b);
  return static_cast<size_t>(longest_common_stretch(numbers_of_a, numbers_of_b));
}

// What CMRC's script passes over. Its list has "……" too, which no single character is.
bool is_cmrc_mark(char32_t c) {
  static constexpr std::u32string_view kMarks =
      U"-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』";
  return kMarks.find(c) != kMarks.npos;
}

std::u32string without_marks(std::string_view text) {
  std::u32string kept = from_utf8(trimmed_lower(text));
  std::erase_if(kept, is_cmrc_mark);
  return kept;
}

// Chinese characters each by itself, words of what stands between them.
Words cmrc_words(const std::u32string& text) {
  Words words;
  std::string between;
  const auto flush = [&] {
    for (std::string& word : treebank_words(between)) words.push_back(std::move(word));
    between.clear();
  };
  for (const char32_t c : text) {
    const bool is_chinese = c >= 0x4E00 && c <= 0x9FA5;
    if (is_chinese) flush();
    append_utf8(between, c);
    if (!is_chinese) continue;
    words.push_back(std::move(between));
    between.clear();
  }
  flush();
  return words;
}

}  // namespace

AnswerMatch squad_match(std::string_view predicted, const std::vector<std::string>& gold) {
  const Words words = plain_words(predicted);
  AnswerMatch best;
  bool has_gold = false;
  for (const std::string& answer : gold) {
    const Words of_gold = plain_words(answer);
    if (of_gold.empty()) continue;
    const AnswerMatch match = match_words(words, of_gold);
    best = {std::max(best.exact, match.exact), std::max(best.f1, match.f1)};
    has_gold = true;
  }
  return has_gold ? best : match_words(words, {});
}

AnswerMatch cmrc_match(std::string_view predicted, const std::vector<std::string>& gold) {
  if (gold.empty()) return match_words(plain_words(predicted), {});
  const std::u32string text = without_marks(predicted);
  const Words words = cmrc_words(text);
  AnswerMatch best;
  for (const std::string& answer : gold) {
    const std::u32string of_gold = without_marks(answer);
    const Words gold_words = cmrc_words(of_gold);
    best.exact = std::max(best.exact, text == of_gold ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, f1_of(static_cast<double>(longest_shared(words, gold_words)),
                                      words.size(), gold_words.size()));
  }
  return best;
}

}  // namespace hone::metrics
