#include "tasks/windows.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hone {
namespace {

using Words = std::vector<int32_t>;

TEST(Windows, LeavesAShortTextWhole) {
  EXPECT_EQ(cut_windows({0, 0, 1}, 3, 1), (std::vector<Window>{{0, 3}}));
  EXPECT_EQ(cut_windows({}, 3, 1), (std::vector<Window>{{0, 0}}));
}

TEST(Windows, CutsBetweenWords) {
  EXPECT_EQ(cut_windows({0, 1, 1, 2, 2, 3}, 4, 0), (std::vector<Window>{{0, 3}, {3, 6}}));
}

TEST(Windows, OverlapsByTheStride) {
  EXPECT_EQ(cut_windows({0, 1, 2, 3, 4, 5, 6, 7}, 4, 2),
            (std::vector<Window>{{0, 4}, {2, 6}, {4, 8}}));
}

TEST(Windows, CutsAWordThatIsLongerThanAWindow) {
  const std::vector<Window> windows = cut_windows({0, 1, 1, 1, 1, 1, 2}, 3, 1);
  EXPECT_EQ(windows.back().end, 7);
  for (const Window& w : windows) EXPECT_LE(w.end - w.begin, 3);
}

TEST(Windows, CoverEveryPieceWhateverTheWords) {
  RandomStream random(7);
  for (int trial = 0; trial < 500; ++trial) {
    Words words;
    for (int32_t word = 0; words.size() < random.below(60); ++word)
      words.insert(words.end(), 1 + random.below(6), word);
    const int64_t room = 1 + static_cast<int64_t>(random.below(12)),
                  stride = static_cast<int64_t>(random.below(room));
    int64_t covered = 0, begin = -1;
    for (const Window& w : cut_windows(words, room, stride)) {
      EXPECT_LE(w.begin, covered) << "a gap";
      EXPECT_GT(w.begin, begin) << "no progress";
      EXPECT_LE(w.end - w.begin, room);
      covered = w.end;
      begin = w.begin;
    }
    EXPECT_EQ(covered, static_cast<int64_t>(words.size()));
  }
}

TEST(Windows, AnswerFromWhereAWordHasMostContext) {
  const Words first = {-1, 0, 1, 2, 3, -1}, second = {-1, 2, 3, 4, 5, -1};
  const std::vector<Place> places = answering_places({first, second}, 6);
  EXPECT_EQ(places[0], (Place{0, 1}));
  EXPECT_EQ(places[2], (Place{0, 3}));  // one piece before the cut; in the second window none
  EXPECT_EQ(places[3], (Place{1, 2}));  // none before the cut; in the second window one
  EXPECT_EQ(places[5], (Place{1, 4}));
}

TEST(Windows, PreferTheEarlierOfEqualPlaces) {
  const Words first = {-1, 0, 1, 2, -1}, second = {-1, 2, 3, -1};
  EXPECT_EQ(answering_places({first, second}, 4)[2], (Place{0, 3}));
}

TEST(Windows, AnswerAtTheFirstPieceOfAWord) {
  const Words words = {-1, 0, 0, 1, 1, 1, -1};
  EXPECT_EQ(answering_places({words}, 2), (std::vector<Place>{{0, 1}, {0, 3}}));
}

TEST(Windows, HaveNoPlaceForAWordWithoutPieces) {
  const Words words = {-1, 0, 2, -1};
  EXPECT_EQ(answering_places({words}, 3)[1], (Place{-1, -1}));
}

TEST(Windows, AnswerForAWordCutInTwoWhereItBegins) {
  const Words first = {-1, 0, 1, 1, -1}, second = {-1, 1, 1, 2, -1};
  EXPECT_EQ(answering_places({first, second}, 3)[1], (Place{0, 2}));
}

TEST(Windows, StandsAroundWhatIsKept) {
  EXPECT_EQ(window_around(5, {1, 2}, 8), (Window{0, 5}));
  EXPECT_EQ(window_around(20, {10, 12}, 6), (Window{8, 14}));
  EXPECT_EQ(window_around(20, {0, 2}, 6), (Window{0, 6}));
  EXPECT_EQ(window_around(20, {19, 20}, 6), (Window{14, 20}));
  EXPECT_EQ(window_around(20, {7, 13}, 6), (Window{7, 13}));
}

}  // namespace
}  // namespace hone
