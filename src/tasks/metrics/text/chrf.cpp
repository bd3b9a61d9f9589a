#include "tasks/metrics/text/chrf.h"

#include <fmt/format.h>

#include "tasks/metrics/text/ngrams.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

constexpr int kCharacterOrders = 6, kWordOrders = 2;  // the latter of chrF++
constexpr double kRecallWeight = 4;                   // beta of 2, squared

bool is_chrf_mark(char32_t c) {
  return (c >= U'!' && c <= U'/') || (c >= U':' && c <= U'@') || (c >= U'[' && c <= U'`') ||
         (c >= U'{' && c <= U'~');
}

std::vector<int32_t> characters_of(std::u32string_view text) {
  std::vector<int32_t> characters;
  characters.reserve(text.size());
  for (const char32_t c : text) {
    if (!is_blank(c)) characters.push_back(static_cast<int32_t>(c));
  }
  return characters;
}

// One mark at the end of a word, or else at its beginning, is a word of its own.
std::vector<std::u32string_view> chrf_words(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  for (const std::u32string_view word : split_at_blanks(text)) {
    const size_t cut = word.size() == 1            ? 0
                       : is_chrf_mark(word.back()) ? word.size() - 1
                                                   : static_cast<size_t>(is_chrf_mark(word[0]));
    if (cut > 0) words.push_back(word.substr(0, cut));
    words.push_back(word.substr(cut));
  }
  return words;
}

class Chrf : public TextMetric {
 public:
  Chrf(const TextOptions& options, int word_orders)
      : lowercase_(options.metric_lowercase), word_orders_(word_orders) {}

  std::vector<MetricName> names() const override { return {word_orders_ > 0 ? "chrf++" : "chrf"}; }

  std::vector<double> numbers(const PreparedPair& pair) override {
    const Text text = text_of(pair.predicted);
    std::vector<double> best;
    double best_score = -1;
    for (const PreparedText& reference : pair.references) {
      std::vector<double> numbers = numbers_of(text, text_of(reference));
      const double score = f_score(numbers);
      if (score <= best_score) continue;
      best_score = score;
      best = std::move(numbers);
    }
    return best;
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {f_score(sums)};
  }

  std::string signature() const override {
    return fmt::format("case:{}|eff:yes|nc:{}|nw:{}|space:no", lowercase_ ? "lc" : "mixed",
                       kCharacterOrders, word_orders_);
  }

 private:
  struct Text {
    Ngrams characters, words;
  };

  Text text_of(const PreparedText& text) {
    return {Ngrams(characters_of(text.points), kCharacterOrders),
            word_orders_ == 0 ? Ngrams({}, 1)
                              : Ngrams(numbers_.of(chrf_words(text.points)), word_orders_)};
  }

  static void add_order(const Ngrams& text, const Ngrams& reference, int order,
                        std::vector<double>& numbers) {
    const int64_t of_reference = reference.count(order);
    numbers.push_back(of_reference == 0 ? 0.0 : static_cast<double>(text.count(order)));
    numbers.push_back(static_cast<double>(of_reference));
    numbers.push_back(static_cast<double>(shared_ngrams(text, reference, order)));
  }

  std::vector<double> numbers_of(const Text& text, const Text& reference) const {
    std::vector<double> numbers;
    for (int order = 1; order <= kCharacterOrders; ++order)
      add_order(text.characters, reference.characters, order, numbers);
    for (int order = 1; order <= word_orders_; ++order)
      add_order(text.words, reference.words, order, numbers);
    return numbers;
  }

  // The F score of the mean precision and the mean recall, over the orders that both have.
  static double f_score(std::span<const double> numbers) {
    double precision = 0, recall = 0, orders = 0;
    for (size_t i = 0; i < numbers.size(); i += 3) {
      const double text = numbers[i], reference = numbers[i + 1], shared = numbers[i + 2];
      if (text == 0 || reference == 0) continue;
      precision += shared / text;
      recall += shared / reference;
      ++orders;
    }
    if (precision + recall == 0) return 0;
    precision /= orders;
    recall /= orders;
    return 100 * (1 + kRecallWeight) * precision * recall / (kRecallWeight * precision + recall);
  }

  bool lowercase_;
  int word_orders_;
  WordNumbers numbers_;
};

}  // namespace

std::unique_ptr<TextMetric> make_chrf(const TextOptions& options) {
  return std::make_unique<Chrf>(options, 0);
}

std::unique_ptr<TextMetric> make_chrf_plus_plus(const TextOptions& options) {
  return std::make_unique<Chrf>(options, kWordOrders);
}

}  // namespace hone::metrics
