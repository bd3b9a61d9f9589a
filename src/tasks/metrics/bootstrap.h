// 95 % intervals by the percentile bootstrap over records (Efron 1979).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "tasks/report.h"

namespace hone::metrics {

// Scores of a resampled test set: weights[i] says how often record i was drawn. Called once for
// each resample, so it should work on small sufficient statistics of each record.
using ResampledScores = std::function<std::vector<double>(std::span<const int32_t> weights)>;

// One interval for each value that `scores` returns; the same for the same records, on every
// machine. 1,000 resamples, fewer for very large sets (their intervals are narrow, and a report
// should cost seconds at most). Empty where there are no records.
std::vector<Interval> bootstrap(int64_t records, const ResampledScores& scores);

// The interval of a.value - b.value, where the two were measured on records of their own; nothing
// where either has none.
std::optional<Interval> interval_of_difference(const Metric& a, const Metric& b);

// How far a metric of two programs differs on the same records, which were drawn alike for both
// (the paired bootstrap: Koehn 2004, "Statistical significance tests for machine translation
// evaluation").
struct PairedDifference {
  double value = 0;  // a - b
  Interval interval;
  double p = 1;  // how often chance alone makes a difference at least this large
};
// Nothing where one of them has no interval. REQUIRES: both were measured on the same records.
std::optional<PairedDifference> paired_difference(const Metric& a, const Metric& b);

// How often chance alone makes two programs differ at least so far in the rows that one of them
// alone gets right: the exact test of McNemar 1947 ("Note on the sampling error of the difference
// between correlated proportions"), two-sided, by the binomial distribution of equal chances. 1 of
// no such rows.
double mcnemar_p(int64_t only_first, int64_t only_second);

int64_t resamples_for(int64_t records);
double percentile(std::vector<double> values,
                  double share);  // linear between neighbours, as numpy.percentile

}  // namespace hone::metrics
