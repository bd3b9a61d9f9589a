#include "tasks/metrics/text/lengths.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
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
  std::vector<MetricName> names() const override {
    return {"distinct_1", "distinct_2", "distinct_3"};
  }
  bool adds_up() const override { return false; }

  // New ones and all: of words, of pairs, of three in a row.
  std::vector<double> numbers(const PreparedPair& pair) override {
    const std::vector<int32_t>& words = pair.predicted.words;
    std::vector<double> numbers;
    for (size_t n = 1; n <= seen_.size(); ++n) {
      std::unordered_set<std::u32string>& seen = seen_[n - 1];
      const size_t before = seen.size();
      for (auto first = words.begin(); n <= static_cast<size_t>(words.end() - first); ++first)
        seen.emplace(first, first + static_cast<int64_t>(n));
      numbers.push_back(static_cast<double>(seen.size() - before));
      numbers.push_back(std::max(size_of(pair.predicted) - static_cast<double>(n - 1), 0.0));
    }
    return numbers;
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {ratio_or_nan(sums[0], sums[1]), ratio_or_nan(sums[2], sums[3]),
            ratio_or_nan(sums[4], sums[5])};
  }

 private:
  std::array<std::unordered_set<std::u32string>, 3> seen_;  // by length; numbers of words
};

}  // namespace

std::unique_ptr<TextMetric> make_length(const TextOptions&) {
  return std::make_unique<LengthRatio>();
}

std::unique_ptr<TextMetric> make_distinct(const TextOptions&) {
  return std::make_unique<Distinct>();
}

}  // namespace hone::metrics
