#include "tasks/metrics/text/bleu.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "tasks/metrics/text/ngrams.h"

namespace hone::metrics {
namespace {

constexpr size_t kOrders = 4;

double usual_value(BleuSmoothing smoothing) {
  return smoothing == BleuSmoothing::kFloor ? 0.1 : smoothing == BleuSmoothing::kAddK ? 1 : 0;
}

class Bleu : public TextMetric {
 public:
  explicit Bleu(const TextOptions& options) : options_(options) {
    if (options_.bleu_smooth_value == 0)
      options_.bleu_smooth_value = usual_value(options_.bleu_smooth);
  }

  std::vector<MetricName> names() const override { return {"bleu"}; }

  std::vector<double> numbers(const PreparedPair& pair) override {
    const Ngrams text(pair.predicted.words, kOrders);
    std::vector<Ngrams> references;
    for (const PreparedText& reference : pair.references)
      references.emplace_back(reference.words, kOrders);
    std::vector<const Ngrams*> all;
    for (const Ngrams& reference : references) all.push_back(&reference);
    std::vector<double> numbers(2 + 2 * kOrders);
    numbers[0] = static_cast<double>(text.tokens());
    numbers[1] = static_cast<double>(nearest_length(pair));
    for (size_t i = 0; i < kOrders; ++i) {
      const int order = static_cast<int>(i) + 1;
      numbers[2 + i] = static_cast<double>(shared_ngrams(text, all, order));
      numbers[2 + kOrders + i] = static_cast<double>(text.count(order));
    }
    return numbers;
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {score(sums, /*effective_order=*/false)};
  }

  double row_score(std::span<const double> numbers) const override {
    return score(numbers, /*effective_order=*/true);
  }

  std::string signature() const override {
    std::string smoothing =
        option_names(options_.bleu_smooth)[static_cast<size_t>(options_.bleu_smooth)];
    if (options_.bleu_smooth_value != 0)
      smoothing += fmt::format("[{:.2f}]", options_.bleu_smooth_value);
    return fmt::format(
        "case:{}|eff:no|tok:{}|smooth:{}", options_.metric_lowercase ? "lc" : "mixed",
        option_names(options_.bleu_tokenize)[static_cast<size_t>(options_.bleu_tokenize)],
        smoothing);
  }

 private:
  // Shares of n-grams in common by order, smoothed; orders of which the text has none are left out.
  struct Precisions {
    std::array<double, kOrders> values = {};
    size_t count = 0;
  };

  Precisions precisions(std::span<const double> shared, std::span<const double> all) const {
    const BleuSmoothing smoothing = options_.bleu_smooth;
    Precisions precisions;
    double halved = 1;
    for (size_t i = 0; i < kOrders; ++i) {
      const double added =
          smoothing == BleuSmoothing::kAddK && i > 0 ? options_.bleu_smooth_value : 0;
      const double of = all[i] + added;
      if (of == 0) break;
      ++precisions.count;
      double hits = shared[i] + added;
      if (hits == 0 && smoothing == BleuSmoothing::kExp) hits = 1 / (halved *= 2);
      if (hits == 0 && smoothing == BleuSmoothing::kFloor) hits = options_.bleu_smooth_value;
      precisions.values[i] = hits / of;
    }
    return precisions;
  }

  double score(std::span<const double> sums, bool effective_order) const {
    const double length = sums[0], reference = sums[1];
    const std::span<const double> shared = sums.subspan(2, kOrders),
                                  all = sums.subspan(2 + kOrders, kOrders);
    if (shared[0] == 0) return 0;  // so has no longer order any
    const Precisions found = precisions(shared, all);
    const size_t orders = effective_order ? found.count : kOrders;
    double logs = 0;
    for (size_t i = 0; i < orders; ++i) logs += std::log(found.values[i]);  // -inf: the score is 0
    const double brevity = length < reference ? std::exp(1 - reference / length) : 1;
    return 100 * brevity * std::exp(logs / static_cast<double>(orders));
  }

  TextOptions options_;
};

}  // namespace

std::unique_ptr<TextMetric> make_bleu(const TextOptions& options) {
  return std::make_unique<Bleu>(options);
}

}  // namespace hone::metrics
