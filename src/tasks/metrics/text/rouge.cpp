#include "tasks/metrics/text/rouge.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "tasks/metrics/text/bleu_words.h"
#include "tasks/metrics/text/lcs.h"
#include "tasks/metrics/text/ngrams.h"
#include "tasks/metrics/text/porter.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

constexpr size_t kShortestStemmed = 4;

bool is_ascii_word(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'0' && c <= U'9'); }
bool is_any_word(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
}

double f_measure(double shared, double text, double reference) {
  return shared == 0 ? 0 : 2 * shared / (text + reference);
}

std::u32string stemmed(const std::u32string& word) {
  return word.size() < kShortestStemmed ? word : from_utf8(porter_stem(to_utf8(word)));
}

struct RougeText {
  Ngrams words;
  std::vector<std::vector<int32_t>> lines;
};

double ngram_score(const Ngrams& text, const Ngrams& reference, int order) {
  return f_measure(static_cast<double>(shared_ngrams(text, reference, order)),
                   static_cast<double>(text.count(order)),
                   static_cast<double>(reference.count(order)));
}

std::unordered_map<int32_t, int64_t> counts_of(const std::vector<std::vector<int32_t>>& lines) {
  std::unordered_map<int32_t, int64_t> counts;
  for (const std::vector<int32_t>& line : lines) {
    for (const int32_t word : line) ++counts[word];
  }
  return counts;
}

// Words of each line of the reference that are in its longest common subsequence with any line of
// the text; each counts as often as both texts have it.
int64_t shared_by_lines(const RougeText& text, const RougeText& reference) {
  auto left_of_text = counts_of(text.lines), left_of_reference = counts_of(reference.lines);
  int64_t hits = 0;
  for (const std::vector<int32_t>& line : reference.lines) {
    CommonSubsequence subsequence(line);
    std::set<int64_t> places;
    for (const std::vector<int32_t>& other : text.lines) {
      for (const auto& [place, _] : subsequence.places(other)) places.insert(place);
    }
    for (const int64_t place : places) {
      const int32_t word = line[static_cast<size_t>(place)];
      int64_t &of_text = left_of_text[word], &of_reference = left_of_reference[word];
      if (of_text == 0 || of_reference == 0) continue;
      --of_text;
      --of_reference;
      ++hits;
    }
  }
  return hits;
}

class Rouge : public TextMetric {
 public:
  explicit Rouge(const TextOptions& options) : options_(options) {}

  std::vector<MetricName> names() const override {
    return {"rouge1", "rouge2", "rougeL", "rougeLsum"};
  }

  // The four scores, and that it is one row.
  std::vector<double> numbers(const PreparedPair& pair) override {
    const RougeText text = text_of(pair.predicted.text);
    std::vector<double> best(5);
    best.back() = 1;
    for (const PreparedText& prepared : pair.references) {
      const RougeText reference = text_of(prepared.text);
      CommonSubsequence subsequence(reference.words.all());
      const auto of_text = static_cast<double>(text.words.tokens()),
                 of_reference = static_cast<double>(reference.words.tokens());
      const double scores[] = {
          ngram_score(text.words, reference.words, 1), ngram_score(text.words, reference.words, 2),
          f_measure(static_cast<double>(subsequence.length(text.words.all())), of_text,
                    of_reference),
          f_measure(static_cast<double>(shared_by_lines(text, reference)), of_text, of_reference)};
      for (size_t i = 0; i < std::size(scores); ++i) best[i] = std::max(best[i], scores[i]);
    }
    return best;
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    std::vector<double> means;
    for (const double sum : sums.first(4)) means.push_back(sum / sums.back());
    return means;
  }

  double row_score(std::span<const double> numbers) const override { return numbers[2]; }

  std::string signature() const override {
    const bool is_ascii = options_.rouge_words == RougeWords::kAscii;
    return std::string("words:") + (is_ascii ? "a-z0-9" : "letters, each CJK character alone") +
           "|stemmer:" + (options_.rouge_stemmer ? "porter" : "no") + "|score:f";
  }

 private:
  std::vector<int32_t> words_of(std::u32string_view text) {
    std::vector<int32_t> words;
    for (const std::u32string& word : rouge_words(text, options_.rouge_words))
      words.push_back(numbers_.of(options_.rouge_stemmer ? stemmed(word) : word));
    return words;
  }

  RougeText text_of(std::string_view text) {
    const std::u32string lower = lower_points(text);
    RougeText made{Ngrams(words_of(lower), 2), {}};
    for (size_t begin = 0, end = 0; begin <= lower.size(); begin = end + 1) {
      end = std::min(lower.find(U'\n', begin), lower.size());
      if (end > begin)
        made.lines.push_back(words_of(std::u32string_view(lower).substr(begin, end - begin)));
    }
    return made;
  }

  TextOptions options_;
  WordNumbers numbers_;
};

}  // namespace

std::vector<std::u32string> rouge_words(std::u32string_view lower, RougeWords rule) {
  std::vector<std::u32string> words;
  const bool is_ascii = rule == RougeWords::kAscii;
  for (size_t begin = 0, end = 0; begin < lower.size(); begin = end) {
    const auto is_of_run = [&](char32_t c) {
      return is_ascii ? is_ascii_word(c) : is_any_word(c) && !is_cjk(c);
    };
    while (end < lower.size() && is_of_run(lower[end])) ++end;
    if (end > begin) {
      words.emplace_back(lower.substr(begin, end - begin));
    } else {
      if (!is_ascii && is_any_word(lower[end])) words.emplace_back(1, lower[end]);
      ++end;
    }
  }
  return words;
}

std::unique_ptr<TextMetric> make_rouge(const TextOptions& options) {
  return std::make_unique<Rouge>(options);
}

}  // namespace hone::metrics
