// Values by hand; tests/parity/test_metrics.py compares with scikit-learn and seqeval.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "base/random.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
#include "tasks/metrics/regression.h"
#include "tasks/mistakes.h"

namespace hone::metrics {
namespace {

const std::vector<int32_t> kOnce4 = {1, 1, 1, 1};

TEST(Classes, GiveZeroWhereNothingWasPredictedOrThere) {
  const Scores none = scores_of({0, 0, 0}), missed = scores_of({0, 0, 3}),
               invented = scores_of({0, 2, 0});
  for (const Scores& s : {none, missed, invented}) EXPECT_EQ(s.precision + s.recall + s.f1, 0);
}

TEST(Classes, AverageInThreeWays) {
  const std::vector<ClassCounts> counts = {{3, 4, 3}, {0, 0, 1}};  // f1 6/7 and 0
  EXPECT_DOUBLE_EQ(micro_average(counts).f1, 6.0 / 8);
  EXPECT_DOUBLE_EQ(macro_average(counts).f1, 6.0 / 14);
  EXPECT_DOUBLE_EQ(weighted_average(counts).f1, 6.0 / 7 * 3 / 4);
}

TEST(Classes, CorrelateLikeMatthewsForTwoClasses) {
  // tp 6, fn 2, fp 1, tn 3: (6 * 3 - 1 * 2) / sqrt(7 * 8 * 4 * 5)
  const std::vector<ClassCounts> counts = {{6, 7, 8}, {3, 5, 4}};
  EXPECT_NEAR(matthews(counts, 12), 16 / std::sqrt(7.0 * 8 * 4 * 5), 1e-12);
  EXPECT_EQ(matthews(std::vector<ClassCounts>{{5, 5, 5}}, 5), 0);
}

TEST(Classes, ScoreOneRecordWithSeveralLabels) {
  const Scores s = sample_scores({{1, 2, 3}, {2, 3, 4, 5}});
  EXPECT_DOUBLE_EQ(s.precision, 0.5);
  EXPECT_DOUBLE_EQ(s.recall, 2.0 / 3);
  EXPECT_EQ(sample_scores({{}, {}}).f1, 0);
}

TEST(Correlation, IsExactForLinesAndZeroForConstants) {
  const std::vector<double> x = {1, 2, 3, 4}, down = {8, 6, 4, 2}, flat = {0.1, 0.1, 0.1, 0.1};
  EXPECT_DOUBLE_EQ(pearson(x, down, kOnce4), -1);
  EXPECT_EQ(pearson(x, flat, kOnce4), 0);
  EXPECT_EQ(Spearman(x, flat)(kOnce4), 0);
}

TEST(Correlation, RanksTiesInTheMiddle) {
  // ranks of y: 1, 2.5, 2.5, 4
  const std::vector<double> x = {1, 2, 3, 4}, y = {10, 20, 20, 30}, ranks = {1, 2.5, 2.5, 4};
  EXPECT_DOUBLE_EQ(Spearman(x, y)(kOnce4), pearson(x, ranks, kOnce4));
}

TEST(Correlation, CountsAWeightAsThatManyCopies) {
  const std::vector<double> x = {1, 2, 5, 3}, y = {2, 1, 7, 7}, x2 = {1, 1, 5, 5, 5, 3},
                            y2 = {2, 2, 7, 7, 7, 7};
  const std::vector<int32_t> weights = {2, 0, 3, 1}, once(6, 1);
  EXPECT_NEAR(pearson(x, y, weights), pearson(x2, y2, once), 1e-12);
  EXPECT_NEAR(Spearman(x, y)(weights), Spearman(x2, y2)(once), 1e-12);
  EXPECT_DOUBLE_EQ(mean_squared_error(x, y, weights), mean_squared_error(x2, y2, once));
  EXPECT_DOUBLE_EQ(mean_absolute_error(x, y, weights), mean_absolute_error(x2, y2, once));
}

TEST(Calibration, WeighsGapsByCount) {
  Calibration c;
  for (int i = 0; i < 8; ++i) c.add(0.75, i < 6);  // bin (11/15, 12/15]: right as often as it says
  for (int i = 0; i < 2; ++i) c.add(1.0, false);
  EXPECT_NEAR(c.expected_error(), 0.2, 1e-12);
  ASSERT_EQ(c.bins().size(), 2u);
  EXPECT_DOUBLE_EQ(c.bins()[0].y, 0.75);
  EXPECT_EQ(c.bins()[1].count, 2);
}

TEST(Calibration, PutsEdgesIntoTheBinBelow) {
  Calibration c;
  c.add(0.0, true);
  c.add(1.0 / 15, true);
  EXPECT_EQ(c.bins().size(), 1u);
}

TEST(Calibration, IsZeroWhereEmpty) { EXPECT_EQ(Calibration().expected_error(), 0); }

TEST(Bootstrap, HasThePercentilesOfNumpy) {
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(percentile({10, 20}, 0.025), 10.25);
  EXPECT_DOUBLE_EQ(percentile({5}, 0.975), 5);
}

// The accuracy of n independent records has the binomial's spread.
TEST(Bootstrap, FindsTheSpreadOfAnAccuracy) {
  std::vector<int> right(1000);
  for (size_t i = 0; i < right.size(); ++i) right[i] = i % 10 != 0;
  const Interval interval = bootstrap(1000, [&](std::span<const int32_t> weights) {
    return std::vector<double>{
        std::inner_product(weights.begin(), weights.end(), right.begin(), 0.0) / 1000};
  })[0];
  const double deviation = std::sqrt(0.9 * 0.1 / 1000);
  EXPECT_NEAR(interval.low, 0.9 - 1.96 * deviation, 0.2 * deviation);
  EXPECT_NEAR(interval.high, 0.9 + 1.96 * deviation, 0.2 * deviation);
}

TEST(Bootstrap, DrawsAsManyRecordsAsThereAre) {
  bootstrap(37, [&](std::span<const int32_t> weights) {
    EXPECT_EQ(std::accumulate(weights.begin(), weights.end(), 0), 37);
    return std::vector<double>{};
  });
}

TEST(Bootstrap, SaysTheSameTwice) {
  const auto first_share = [](std::span<const int32_t> weights) {
    return std::vector<double>{double(weights[0])};
  };
  EXPECT_EQ(bootstrap(50, first_share)[0].high, bootstrap(50, first_share)[0].high);
}

TEST(Bootstrap, ResamplesLessWhereThereIsMuch) {
  EXPECT_EQ(resamples_for(3000), 1000);
  EXPECT_EQ(resamples_for(10'000'000), 100);
  EXPECT_TRUE(bootstrap(0, [](auto) { return std::vector<double>{1}; }).empty());
}

TEST(MistakeList, KeepsTheMostConfidentInOrder) {
  MistakeList list;
  RandomStream random(3);
  std::vector<double> all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back(random.uniform());
    list.add({{}, "", "", "", all.back()});
  }
  std::sort(all.rbegin(), all.rend());
  ASSERT_EQ(list.most_confident_first().size(), kMistakesKept);
  for (size_t i = 0; i < kMistakesKept; ++i)
    EXPECT_EQ(list.most_confident_first()[i].confidence, all[i]);
}

TEST(MistakeList, KeepsTheFirstOfEqualOnes) {
  MistakeList list;
  for (int i = 0; i < 150; ++i) list.add({{}, std::to_string(i), "", "", 0.5});
  EXPECT_EQ(list.most_confident_first().front().text, "0");
  EXPECT_EQ(list.most_confident_first().back().text, "99");
}

// Against sums of the binomial distribution worked out by hand.
TEST(McNemar, IsTheExactTest) {
  EXPECT_DOUBLE_EQ(mcnemar_p(0, 0), 1);
  EXPECT_DOUBLE_EQ(mcnemar_p(3, 3), 1);
  EXPECT_NEAR(mcnemar_p(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_p(5, 0), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_p(1, 9), 2.0 * 11 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar_p(40'000, 40'000), 1, 1e-9);        // 2^-80,000 is no double
  EXPECT_NEAR(mcnemar_p(39'717, 40'283), 0.0457, 0.001);  // two standard deviations
}

}  // namespace
}  // namespace hone::metrics
