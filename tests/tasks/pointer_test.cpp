#include "tasks/pointer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace hone {
namespace {

TEST(Pointer, ScoresPairsByQueriesKeysAndEnds) {
  at::Tensor tokens = at::zeros({3, 8});  // of size 2, and 2 types
  tokens[0][0] = 2, tokens[2][2] = 3;     // q_0 · k_2 = 6
  tokens[0][5] = 0.5, tokens[2][7] = 1;   // of type 1
  const at::Tensor scores = pointer_scores(tokens, 2);
  EXPECT_EQ(scores.sizes(), at::IntArrayRef({2, 3, 3}));
  EXPECT_FLOAT_EQ(scores[0][0][2].item<float>(), 6);
  EXPECT_FLOAT_EQ(scores[1][0][2].item<float>(), 7.5);
  EXPECT_FLOAT_EQ(scores[1][0][1].item<float>(), 0.5);
  EXPECT_FLOAT_EQ(scores[0][2][0].item<float>(), 0);
}

TEST(Pointer, ItsLossSetsGoldPairsAgainstAllOthers) {
  // Two tokens, all scored 0; one pair of type 0 is gold.
  const auto loss = [](int64_t tokens, const std::vector<TypedPair>& gold, PairOrder order) {
    return pointer_loss(at::zeros({tokens, 8}), gold, 2, order).item<double>();
  };
  EXPECT_NEAR(loss(2, {{0, 1, 0}}, PairOrder::kSpans),
              std::log(1 + 1.0) + std::log(1 + 2.0) + std::log(1 + 3.0), 1e-6);
  EXPECT_NEAR(loss(2, {{1, 0, 0}}, PairOrder::kAny),
              std::log(1 + 1.0) + std::log(1 + 3.0) + std::log(1 + 4.0), 1e-6);
  EXPECT_EQ(loss(0, {}, PairOrder::kSpans), 0);
}

TEST(Pointer, ASmoothedPairCountsInBothSumsByItsShares) {
  const at::Tensor tokens = at::zeros({2, 6});  // of size 2 and one type: all scored 0
  const double share = 0.1,
               loss = pointer_loss(tokens, {{0, 1, 0}}, 1, PairOrder::kSpans, 2 * share)
                          .item<double>();
  // Of three spans one is gold: 0.9 and twice 0.1 of yes, 0.1 and twice 0.9 of no.
  EXPECT_NEAR(loss, std::log(1 + 0.9 + 0.2) + std::log(1 + 0.1 + 1.8), 1e-6);
}

TEST(Pointer, KeepsTheSurestOfManyInTheirOrder) {
  struct Found {
    int64_t place;
    double score;
  };
  std::vector<Found> found;
  for (int64_t i = 0; i < 40; ++i) found.push_back({i, i < 20 ? 1.0 + i : 100.0 - i});
  keep_surest(found, 2);
  ASSERT_EQ(found.size(), 14u);
  EXPECT_EQ(found.front().place, 20);
  EXPECT_EQ(found.back().place, 33);
  keep_surest(found, 2);
  EXPECT_EQ(found.size(), 14u);
}

}  // namespace
}  // namespace hone
