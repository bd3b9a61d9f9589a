#include "data/text_edits.h"

#include <gtest/gtest.h>

#include "data/clean.h"

namespace hone {
namespace {

// Every stretch of the cleaned text that begins and ends with a character that was there before is
// the same characters in the text as read, with what was cut between them.
TEST(TextEdits, FindPlacesOfTheCleanedTextInTheTextAsRead) {
  std::string text =
      " \t\x01Zo\xC3\xAB\x02 m\x03\x04"
      "et\r\nBo\x05 ";
  const auto edits = clean_text(text, {});
  ASSERT_TRUE(edits);
  EXPECT_EQ(text, "Zoë met\nBo");
  const auto as_read = [&](int32_t start, int32_t end) {
    const Span span = edits->as_read({start, end});
    return edits->as_read().substr(static_cast<size_t>(span.start),
                                   static_cast<size_t>(span.end - span.start));
  };
  EXPECT_EQ(as_read(0, 4), "Zoë");
  EXPECT_EQ(as_read(5, 8),
            "m\x03\x04"
            "et");
  EXPECT_EQ(as_read(0, 8),
            "Zoë\x02 m\x03\x04"
            "et");
  EXPECT_EQ(as_read(9, 11), "Bo");
  EXPECT_EQ(edits->as_read({5, 5}).start, edits->as_read({5, 5}).end);
}

TEST(TextEdits, AreWholeCharactersWhereALongerOneBecameASpace) {
  std::string text = "a\u0085b";  // two bytes
  const auto edits = clean_text(text, {});
  ASSERT_TRUE(edits);
  EXPECT_EQ(text, "a b");
  EXPECT_EQ(edits->as_read({0, 1}), (Span{0, 1}));
  EXPECT_EQ(edits->as_read({2, 3}), (Span{3, 4}));
  EXPECT_EQ(edits->as_read({0, 3}), (Span{0, 4}));
}

// " Zoë met Bo" cleaned to "Zoë met Bo", then "Zoë" replaced by "Zo", "met" by "encountered".
TEST(TextEdits, FindPlacesOfOtherWordsInTheTextAsRead) {
  TextEdits edits(" Zoë met Bo");
  edits.cut(0, 1);
  edits.replace(0, 4, 2);
  edits.replace(5, 8, 11);
  EXPECT_EQ(edits.as_read({0, 2}), (Span{1, 5}));   // Zo
  EXPECT_EQ(edits.as_read({1, 2}), (Span{1, 5}));   // a part of it is all of it
  EXPECT_EQ(edits.as_read({3, 14}), (Span{6, 9}));  // encountered
  EXPECT_EQ(edits.as_read({5, 7}), (Span{6, 9}));
  EXPECT_EQ(edits.as_read({15, 17}), (Span{10, 12}));  // Bo
  EXPECT_EQ(edits.as_read({0, 17}), (Span{1, 12}));
}

TEST(TextEdits, FindPlacesBesideAWordThatIsGone) {
  TextEdits edits("a bad film");
  edits.replace(2, 6, 0);
  EXPECT_EQ(edits.as_read({0, 1}), (Span{0, 1}));
  EXPECT_EQ(edits.as_read({2, 6}), (Span{6, 10}));
  EXPECT_EQ(edits.as_read({0, 6}), (Span{0, 10}));
  const Span nothing = edits.as_read({2, 2});
  EXPECT_EQ(nothing.start, nothing.end);
}

TEST(TextEdits, AreNoneForACleanText) {
  std::string text = "Zoë\tmet\nBo";
  EXPECT_FALSE(clean_text(text, {}));
}

}  // namespace
}  // namespace hone
