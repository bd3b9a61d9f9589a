#include "tasks/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/random.h"

namespace hone::metrics {
namespace {

constexpr uint64_t kKey =
    0x626f6f7473747261;  // fixed: a report must not change when it is made again
constexpr int64_t kResamples = 1000, kFewestResamples = 100, kMostDraws = 100'000'000;

void draw(RandomStream& random, std::vector<int32_t>& weights) {
  std::fill(weights.begin(), weights.end(), 0);
  for (size_t i = 0; i < weights.size(); ++i) ++weights[random.below(weights.size())];
}

}  // namespace

int64_t resamples_for(int64_t records) {
  return std::clamp(kMostDraws / std::max<int64_t>(records, 1), kFewestResamples, kResamples);
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

namespace {

// Draws that cannot tell (NaN: nothing to divide by) are passed over.
Interval interval_of(const std::vector<double>& draws) {
  std::vector<double> numbers;
  std::copy_if(draws.begin(), draws.end(), std::back_inserter(numbers),
               [](double draw) { return std::isfinite(draw); });
  if (numbers.empty()) return {std::nan(""), std::nan(""), draws};
  return {percentile(numbers, 0.025), percentile(numbers, 0.975), draws};
}

}  // namespace

std::vector<Interval> bootstrap(int64_t records, const ResampledScores& scores) {
  if (records == 0) return {};
  RandomStream random(kKey);
  std::vector<int32_t> weights(records);
  std::vector<std::vector<double>> drawn;  // [score][resample]
  for (int64_t i = 0; i < resamples_for(records); ++i) {
    draw(random, weights);
    const std::vector<double> values = scores(weights);
    drawn.resize(values.size());
    for (size_t j = 0; j < values.size(); ++j) drawn[j].push_back(values[j]);
  }
  std::vector<Interval> intervals;
  for (const std::vector<double>& values : drawn) intervals.push_back(interval_of(values));
  return intervals;
}

// Both were drawn with one key: pairs are mixed, so that no two draws belong together.
std::optional<Interval> interval_of_difference(const Metric& a, const Metric& b) {
  if (!a.interval || !b.interval) return std::nullopt;
  const std::vector<double>&x = a.interval->draws, &y = b.interval->draws;
  const size_t count = std::min(x.size(), y.size());
  if (count == 0) return std::nullopt;
  const std::vector<int64_t> mixed = permutation(static_cast<int64_t>(count), kKey);
  std::vector<double> differences;
  for (size_t i = 0; i < count; ++i) differences.push_back(x[i] - y[static_cast<size_t>(mixed[i])]);
  return interval_of(differences);
}

// The p value shifts the draws to where there is no difference, and counts those at least as far
// off as the measured one; it is never 0, as the measured one counts, too.
std::optional<PairedDifference> paired_difference(const Metric& a, const Metric& b) {
  if (!a.interval || !b.interval) return std::nullopt;
  const std::vector<double>&x = a.interval->draws, &y = b.interval->draws;
  if (x.empty() || x.size() != y.size()) return std::nullopt;
  std::vector<double> differences;
  double mean = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    differences.push_back(x[i] - y[i]);
    mean += differences.back() / static_cast<double>(x.size());
  }
  PairedDifference paired{a.value - b.value, interval_of(differences), 1};
  const auto as_far = std::count_if(differences.begin(), differences.end(), [&](double difference) {
    return !(std::abs(difference - mean) < std::abs(paired.value));
  });
  paired.p = static_cast<double>(as_far + 1) / static_cast<double>(differences.size() + 1);
  return paired;
}

// Twice the probability of at most the smaller number among all of them, summed as logarithms: 2^-n
// is no double from 1,075 rows on.
double mcnemar_p(int64_t only_first, int64_t only_second) {
  const int64_t n = only_first + only_second, least = std::min(only_first, only_second);
  const auto log_factorial = [](int64_t k) { return std::lgamma(static_cast<double>(k) + 1); };
  double sum = 0;
  for (int64_t k = 0; k <= least; ++k)
    sum += std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) -
                    static_cast<double>(n) * std::log(2.0));
  return std::min(1.0, 2 * sum);
}

}  // namespace hone::metrics
