#include "tasks/truncate.h"

#include <gtest/gtest.h>

#include <numeric>

namespace hone {
namespace {

Encoding of_length(int64_t n) {
  Encoding e;
  e.ids.resize(n);
  e.offsets.resize(n);
  e.words.resize(n);
  std::iota(e.ids.begin(), e.ids.end(), 0);
  return e;
}

// Lengths after cutting a pair, as tokenizers 0.23 cuts it.
std::pair<size_t, size_t> cut(int64_t a, int64_t b, int64_t room) {
  Encoding first = of_length(a), second = of_length(b);
  const bool was_cut = truncate_longest_first(first, &second, room);
  EXPECT_EQ(was_cut, a + b > room);
  return {first.ids.size(), second.ids.size()};
}

using Lengths = std::pair<size_t, size_t>;

TEST(Truncate, KeepsTheBeginningOfASingleText) {
  Encoding e = of_length(5);
  EXPECT_TRUE(truncate_longest_first(e, nullptr, 3));
  EXPECT_EQ(e.ids, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(e.words.size(), 3u);
  EXPECT_EQ(e.offsets.size(), 3u);
  EXPECT_FALSE(truncate_longest_first(e, nullptr, 3));
}

TEST(Truncate, CutsOnlyTheLongerWhereThatIsEnough) {
  EXPECT_EQ(cut(10, 3, 9), (Lengths{6, 3}));
  EXPECT_EQ(cut(3, 10, 9), (Lengths{3, 6}));
}

TEST(Truncate, HalvesWhereBothAreLong) {
  EXPECT_EQ(cut(10, 8, 9), (Lengths{5, 4}));
  EXPECT_EQ(cut(8, 10, 9), (Lengths{4, 5}));
  EXPECT_EQ(cut(7, 7, 9), (Lengths{4, 5}));
}

TEST(Truncate, LeavesWhatFits) { EXPECT_EQ(cut(4, 5, 9), (Lengths{4, 5})); }

TEST(Truncate, TakesNoRoomAtAll) { EXPECT_EQ(cut(4, 5, 0), (Lengths{0, 0})); }

}  // namespace
}  // namespace hone
