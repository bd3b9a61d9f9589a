// Values by hand; tests/parity compares with scikit-learn.
#include "tasks/metrics/retrieval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hone::metrics {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> ranks(std::vector<float> scores, std::vector<int32_t> relevant) {
  return ranks_of(scores, relevant);
}

TEST(Ranks, CountFromTheHighestScore) {
  EXPECT_THAT(ranks({0.1F, 0.9F, 0.5F, 0.7F}, {0, 3}), ElementsAre(2, 4));
  EXPECT_THAT(ranks({0.1F, 0.9F, 0.5F, 0.7F}, {1}), ElementsAre(1));
  EXPECT_THAT(ranks({-1.0F}, {0}), ElementsAre(1));
}

TEST(Ranks, OfEqualScoresTheRelevantOnesStandLast) {
  EXPECT_THAT(ranks({0.5F, 0.5F, 0.5F, 0.5F}, {0, 1}), ElementsAre(3, 4));
  EXPECT_THAT(ranks({0.5F, 0.5F, 0.9F, 0.1F}, {0}), ElementsAre(3));
}

TEST(SearchScores, AreThoseOfTheDefinitions) {
  const SearchScores s = search_scores(std::vector<int64_t>{2, 5, 40}, 10);
  EXPECT_DOUBLE_EQ(s.mrr, 0.5);
  EXPECT_DOUBLE_EQ(s.recall, 2.0 / 3);
  EXPECT_EQ(s.accuracy, 0);
  EXPECT_DOUBLE_EQ(s.ndcg, (1 / std::log2(3) + 1 / std::log2(6)) / (1 + 1 / std::log2(3) + 0.5));
}

TEST(SearchScores, CountNothingBehindTheFirstK) {
  const SearchScores s = search_scores(std::vector<int64_t>{3}, 2);
  EXPECT_EQ(s.mrr + s.recall + s.ndcg + s.accuracy, 0);
}

TEST(SearchScores, AreOneWhereAllRelevantOnesStandFirst) {
  const SearchScores s = search_scores(std::vector<int64_t>{1, 2, 3}, 2);  // the ideal has two too
  EXPECT_EQ(s.mrr, 1);
  EXPECT_DOUBLE_EQ(s.ndcg, 1);
  EXPECT_EQ(s.accuracy, 1);
}

// The mean over every order of the texts.
TEST(SearchScores, OfRandomOrderAreMeansOverAllOrders) {
  constexpr int64_t kAll = 5, kK = 3;
  SearchScores mean;
  double orders = 0;
  for (int64_t a = 1; a <= kAll; ++a) {
    for (int64_t b = a + 1; b <= kAll; ++b) {  // where the two relevant ones may stand
      const SearchScores s = search_scores(std::vector<int64_t>{a, b}, kK);
      mean.mrr += s.mrr;
      mean.ndcg += s.ndcg;
      mean.recall += s.recall;
      mean.accuracy += s.accuracy;
      ++orders;
    }
  }
  const SearchScores random = random_search(2, kAll, kK);
  EXPECT_NEAR(random.mrr, mean.mrr / orders, 1e-12);
  EXPECT_NEAR(random.ndcg, mean.ndcg / orders, 1e-12);
  EXPECT_NEAR(random.recall, mean.recall / orders, 1e-12);
  EXPECT_NEAR(random.accuracy, mean.accuracy / orders, 1e-12);
}

TEST(SearchScores, OfRandomOrderAreOneWhereAllIsRelevant) {
  EXPECT_DOUBLE_EQ(random_search(2, 2, 10).mrr, 1);
  EXPECT_DOUBLE_EQ(random_search(2, 2, 10).ndcg, 1);
}

TEST(AveragePrecision, IsTheMeanPrecisionAtTheRelevantRanks) {
  const std::vector<double> scores = {0.9, 0.8, 0.7, 0.6};
  const AveragePrecision precision(scores, {true, false, true, false});
  EXPECT_DOUBLE_EQ(precision(std::vector<int32_t>{1, 1, 1, 1}), (1.0 + 2.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(precision(std::vector<int32_t>{0, 2, 1, 1}), 1.0 / 3);
}

TEST(AveragePrecision, GivesNoCreditForTheOrderOfEqualScores) {
  const std::vector<double> scores = {0.5, 0.5, 0.5, 0.5};
  const AveragePrecision precision(scores, {true, false, false, false});
  EXPECT_DOUBLE_EQ(precision(std::vector<int32_t>{1, 1, 1, 1}), 0.25);
  EXPECT_EQ(precision(std::vector<int32_t>{0, 1, 1, 1}), 0);
}

}  // namespace
}  // namespace hone::metrics
