#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace hone {
namespace {

using Block = std::array<uint32_t, 4>;

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  EXPECT_EQ(philox(0, 0, 0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint64_t ones = ~uint64_t{0};
  EXPECT_EQ(philox(ones, ones, ones), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0 (digits of pi)
  EXPECT_EQ(philox(0x299f31d0a4093822ULL, 0x85a308d3243f6a88ULL, 0x0370734413198a2eULL),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Mix, SeparatesNeighbouringPairsAndTheirOrder) {
  std::set<uint64_t> seen;
  for (uint64_t a = 0; a < 100; ++a) {
    for (uint64_t b = 0; b < 100; ++b) seen.insert(mix(a, b));
  }
  EXPECT_EQ(seen.size(), 10000U);
  EXPECT_NE(mix(1, 2), mix(2, 1));
}

TEST(RandomStream, IsAFunctionOfItsKey) {
  RandomStream a(7), b(7), c(8);
  const uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
  RandomStream copy = a;
  EXPECT_EQ(copy.next(), a.next());
}

TEST(RandomStream, BelowCoversItsRangeEvenly) {
  RandomStream random(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60000; ++i) ++counts.at(random.below(6));
  for (const int count : counts)
    EXPECT_NEAR(count, 10000, 400);  // four standard deviations are 365
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0U);
}

TEST(RandomStream, UniformAndNormalHaveTheirMoments) {
  RandomStream random(2);
  double sum = 0, low = 1, high = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform(), n = random.normal();
    sum += u;
    low = std::min(low, u);
    high = std::max(high, u);
    normal_sum += n;
    normal_squares += n * n;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_GE(low, 0.0);
  EXPECT_LT(high, 1.0);
  EXPECT_NEAR(normal_sum / kDraws, 0, 0.015);
  EXPECT_NEAR(normal_squares / kDraws, 1, 0.02);
}

TEST(Permutation, HoldsEachIndexOnceAndDependsOnTheKey) {
  std::vector<int64_t> order = permutation(1000, 3);
  EXPECT_EQ(order, permutation(1000, 3));
  EXPECT_NE(order, permutation(1000, 4));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_TRUE(permutation(0, 1).empty());
}

TEST(Permutation, PutsEachElementAtEachPlaceEquallyOften) {
  std::array<std::array<int, 4>, 4> counts{};
  for (uint64_t key = 0; key < 24000; ++key) {
    const std::vector<int64_t> order = permutation(4, key);
    for (size_t place = 0; place < 4; ++place)
      ++counts.at(place).at(static_cast<size_t>(order[place]));
  }
  for (const auto& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, 6000, 300);
  }
}

}  // namespace
}  // namespace hone
