#include "data/tokenizer/streamed_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kNoStops;

// The pieces that are shown, the last by `finish`.
std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                                   const std::vector<std::string>& stops = kNoStops) {
  StreamedText text(tokenizer, stops);
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.push_back(text.add(id));
  pieces.push_back(text.finish());
  return pieces;
}

// "the" 8, " " 6, " the" 9, "!" 10, the two bytes of "é" 11 and 12; "</s>" 1 is special.
class StreamedTextTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> bytes_ = load_text(folder_, "bytes.json", kSmallBpeJson);
};

TEST_F(StreamedTextTest, HoldsBackHalfACharacter) {
  EXPECT_THAT(pieces_of(*bytes_, {8, 11, 12, 10}), ElementsAre("the", "", "é", "!", ""));
  EXPECT_THAT(pieces_of(*bytes_, {8, 11}), ElementsAre("the", "", "\xEF\xBF\xBD"));
  EXPECT_THAT(pieces_of(*bytes_, {11, 8}), ElementsAre("", "\xEF\xBF\xBDthe", ""));
}

TEST_F(StreamedTextTest, SpecialTokensHaveNoText) {
  EXPECT_THAT(pieces_of(*bytes_, {8, 1, 9}), ElementsAre("the", "", " the", ""));
}

TEST_F(StreamedTextTest, StopsBeforeAStringThatTokensMakeTogether) {
  StreamedText text(*bytes_, {"e t", "!!"});
  EXPECT_EQ(text.add(8), "th");  // "e" could begin "e t"
  EXPECT_FALSE(text.is_stopped());
  EXPECT_EQ(text.add(10), "e");  // "!" could begin "!!"
  EXPECT_EQ(text.add(8), "!th");
  EXPECT_EQ(text.add(9), "");
  EXPECT_TRUE(text.is_stopped());
  EXPECT_EQ(text.add(8), "");
  EXPECT_EQ(text.finish(), "");
}

TEST_F(StreamedTextTest, ShowsInTheEndWhatDidNotBecomeAStopString) {
  EXPECT_THAT(pieces_of(*bytes_, {8, 10}, {"!!"}), ElementsAre("the", "", "!"));
  EXPECT_THAT(pieces_of(*bytes_, {8}, {"", "x"}), ElementsAre("the", ""));
}

TEST_F(StreamedTextTest, AStopStringMayEndInsideATokenAndHaveHalvesOfCharacters) {
  EXPECT_THAT(pieces_of(*bytes_, {10, 8}, {"!t"}), ElementsAre("", "", ""));
  EXPECT_THAT(pieces_of(*bytes_, {8, 11, 12, 10}, {"é"}), ElementsAre("the", "", "", "", ""));
}

TEST(StreamedText, FindsTheFirstOfSeveralStrings) {
  EXPECT_EQ(find_first_of("a b c", {"c", "b"}), 2U);
  EXPECT_EQ(find_first_of("a b c", {"", "x"}), std::string::npos);
  EXPECT_EQ(find_first_of("a b c b", {"b"}, 3), 6U);
}

// Of WordPiece, byte-level BPE and SentencePiece: blanks depend on a token's neighbours.
TEST(StreamedText, PiecesMakeTheWholeText) {
  const TemporaryFolder folder;
  struct Case {
    const char* json;
    std::vector<int32_t> ids;  // to draw from
  };
  const Case cases[] = {{kSmallJson, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
                        {kSmallBpeJson, {0, 1, 3, 4, 5, 6, 7, 8, 9, 10}},
                        {kSmallUnigramJson, {0, 1, 3, 4, 5, 6, 7}}};
  RandomStream random(4);
  for (const Case& of : cases) {
    const auto tokenizer = load_text(folder, "tokenizer.json", of.json);
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<int32_t> ids(random.below(12));
      for (int32_t& id : ids) id = of.ids[random.below(of.ids.size())];
      std::string text;
      for (const std::string& piece : pieces_of(*tokenizer, ids)) text += piece;
      ASSERT_EQ(text, tokenizer->decode(ids, /*skip_special=*/true)) << testing::PrintToString(ids);
    }
  }
}

}  // namespace
}  // namespace hone
