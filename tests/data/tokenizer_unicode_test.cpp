#include <gtest/gtest.h>

#include <set>

#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

std::u32string decomposition(char32_t c, bool is_compatible = false) {
  std::u32string out;
  unicode::append_decomposition(c, is_compatible, out);
  return out;
}

TEST(Unicode, KnowsTheCategoriesOfVersionEightOnly) {
  EXPECT_TRUE(unicode::is_other(0xAD));    // soft hyphen, Cf
  EXPECT_TRUE(unicode::is_other(0xE000));  // private use
  EXPECT_FALSE(unicode::is_other(0x378));  // unassigned is not "other" to the reference
  EXPECT_FALSE(unicode::is_other(0x8E2));  // Cf, but of Unicode 9
  EXPECT_TRUE(unicode::is_punctuation(0x2E42));
  EXPECT_FALSE(unicode::is_punctuation(0x2E43));  // Unicode 9
  EXPECT_TRUE(unicode::is_punctuation(0x166D));   // So since Unicode 12
  EXPECT_TRUE(unicode::is_nonspacing_mark(0x301));
  EXPECT_FALSE(unicode::is_nonspacing_mark(0x1885));
  EXPECT_TRUE(unicode::is_nonspacing_mark(0x1734));
}

TEST(Unicode, TakesAllOfAsciiPunctuationAndSymbols) {
  std::string found;
  for (char32_t c = 0; c < 128; ++c) {
    if (unicode::is_punctuation(c)) found += static_cast<char>(c);
  }
  EXPECT_EQ(found, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
}

TEST(Unicode, LowersCodePointsWithoutTheirContext) {
  EXPECT_EQ(unicode::to_lower(0x130), (std::array<char32_t, 2>{U'i', 0x307}));
  EXPECT_EQ(unicode::to_lower(0x3A3)[0], 0x3C3U);  // never a final sigma
  EXPECT_EQ(unicode::to_lower(0x1E9E)[0], 0xDFU);
  EXPECT_EQ(unicode::to_lower(0x10D50)[0], 0x10D70U);  // Unicode 16
  EXPECT_EQ(unicode::to_lower(U'z')[0], U'z');
}

TEST(Unicode, DecomposesAndComposesAsVersionNine) {
  EXPECT_EQ(decomposition(0xE9), U"e\u0301");
  EXPECT_EQ(decomposition(0xD55C), U"\u1112\u1161\u11AB");
  EXPECT_EQ(decomposition(0xFB01), U"\uFB01");
  EXPECT_EQ(decomposition(0xFB01, true), U"fi");
  EXPECT_EQ(decomposition(0xFDFA, true).size(), 18U);
  EXPECT_EQ(decomposition(0x11938), U"\U00011938");  // Unicode 13
  EXPECT_EQ(unicode::compose(U'e', 0x301), 0xE9U);
  EXPECT_EQ(unicode::compose(0x1112, 0x1161), 0xD558U);
  EXPECT_EQ(unicode::compose(U'e', U'e'), 0U);
  EXPECT_EQ(unicode::combining_class(0x301), 230);
}

TEST(Unicode, LeavesTheGapThatTheReferenceLeavesAmongTheChineseBlocks) {
  EXPECT_TRUE(unicode::is_chinese(0x4E00));
  EXPECT_TRUE(unicode::is_chinese(0x2B81F));
  EXPECT_FALSE(unicode::is_chinese(0x2B820));
  EXPECT_TRUE(unicode::is_chinese(0x2B920));
  EXPECT_FALSE(unicode::is_chinese(0x3042));  // hiragana
}

TEST(Unicode, LettersNumbersSpacesAreDisjoint) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    const int kinds = unicode::is_letter(c) + unicode::is_number(c) + unicode::is_white_space(c);
    ASSERT_LE(kinds, 1) << std::hex << static_cast<uint32_t>(c);
  }
}

}  // namespace
}  // namespace hone
