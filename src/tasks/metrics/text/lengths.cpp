#include "tasks/metrics/text/lengths.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

namespace hone::metrics {
namespace {

// NaN where there is nothing to divide by: the rows cannot tell.
double ratio_or_nan(double of, double by) {
  return by == 0 ? std::numeric_limits<double>::quiet_NaN() : of / by;
}

double size_of(const PreparedText& text) { return static_cast<double>(text.words.size()); }

class LengthRatio : public TextMetric {
 public:
  std::vector<MetricName> names() const override { return {"length_ratio"}; }

  std::vector<double> numbers(const PreparedPair& pair) override {
    return {size_of(pair.predicted), static_cast<double>(nearest_length(pair))};
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {ratio_or_nan(sums[0], sums[1])};
  }
};

class Distinct : public TextMetric {
 public:
  std::vector<MetricName> names() const override { return {"distinct_1", "distinct_2"}; }
  bool adds_up() const override { return false; }

  // New words and all words, new pairs and all pairs.
  std::vector<double> numbers(const PreparedPair& pair) override {
    const std::vector<int32_t>& words = pair.predicted.words;
    const size_t words_before = words_.size(), pairs_before = pairs_.size();
    words_.insert(words.begin(), words.end());
    for (size_t i = 1; i < words.size(); ++i)
      pairs_.insert(static_cast<uint64_t>(words[i - 1]) << 32 | static_cast<uint32_t>(words[i]));
    const double all = size_of(pair.predicted);
    return {static_cast<double>(words_.size() - words_before), all,
            static_cast<double>(pairs_.size() - pairs_before), std::max(all - 1, 0.0)};
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {ratio_or_nan(sums[0], sums[1]), ratio_or_nan(sums[2], sums[3])};
  }

 private:
  std::unordered_set<int32_t> words_;
  std::unordered_set<uint64_t> pairs_;
};

}  // namespace

std::unique_ptr<TextMetric> make_length(const TextOptions&) {
  return std::make_unique<LengthRatio>();
}

std::unique_ptr<TextMetric> make_distinct(const TextOptions&) {
  return std::make_unique<Distinct>();
}

}  // namespace hone::metrics
