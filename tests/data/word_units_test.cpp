#include "data/word_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

// Pieces of the text, cut at the bars, each of the pre-token given.
std::vector<int32_t> words(const std::string& cut, const std::vector<int32_t>& pre_tokens) {
  std::string text;
  Encoding pieces;
  int32_t begin = 0;
  for (const char c : cut + "|") {
    if (c != '|') {
      text += c;
      continue;
    }
    const auto end = static_cast<int32_t>(text.size());
    pieces.ids.push_back(1);
    pieces.offsets.push_back({begin, end});
    pieces.words.push_back(pre_tokens.at(pieces.words.size()));
    begin = end;
  }
  return words_of_pieces(text, pieces);
}

using Words = std::vector<int32_t>;

TEST(WordUnits, AreThePreTokensWhereBlanksPartWords) {
  EXPECT_EQ(words("un|break|able| things", {0, 0, 0, 1}), (Words{0, 0, 0, 1}));
}

TEST(WordUnits, AreWordsOfADictionaryWhereEachCharacterIsAPreToken) {
  EXPECT_EQ(words("我|喜|欢|自|然|语|言", {0, 1, 2, 3, 4, 5, 6}), (Words{0, 1, 1, 2, 2, 3, 3}));
}

TEST(WordUnits, AreTheSameWhereASentenceIsAPreToken) {
  EXPECT_EQ(words("我|喜|欢|自然|语|言|。", {0, 0, 0, 0, 0, 0, 0}), (Words{0, 1, 1, 2, 3, 3, 4}));
}

TEST(WordUnits, PartScriptsFromEachOther) {
  EXPECT_EQ(words("我|用|py|thon", {0, 0, 0, 0}), (Words{0, 1, 2, 2}));
  EXPECT_EQ(words("py|thon|很|好", {0, 0, 0, 0}), (Words{0, 0, 1, 1}));
}

TEST(WordUnits, NeverCutACharacter) {  // bytes of one character, as byte-level BPE has them
  Encoding pieces{{1, 1, 1}, {{0, 3}, {0, 3}, {3, 6}}, {0, 0, 0}};
  EXPECT_EQ(words_of_pieces("我们", pieces), (Words{0, 0, 0}));
}

TEST(WordUnits, FindWordsOfThai) {
  const std::vector<int32_t> found = words("สวัส|ดี|ครับ", {0, 0, 0});
  EXPECT_EQ(found, (Words{0, 0, 1}));
}

TEST(WordUnits, OfATextAreNeitherBlanksNorPunctuation) {
  const auto words_in = [](const std::string& text) {
    std::vector<std::string> words;
    for (const Span span : words_of_text(text))
      words.push_back(
          text.substr(static_cast<size_t>(span.start), static_cast<size_t>(span.end - span.start)));
    return words;
  };
  EXPECT_EQ(words_in("Don't, say: 3.5 \"times\"!"),
            (std::vector<std::string>{"Don't", "say", "3.5", "times"}));
  EXPECT_EQ(words_in("我喜欢自然语言。"), (std::vector<std::string>{"我", "喜欢", "自然", "语言"}));
  EXPECT_TRUE(words_in(" …!").empty());
  EXPECT_TRUE(words_in("").empty());
}

TEST(WordUnits, OfNothingAreNone) { EXPECT_TRUE(words_of_pieces("", Encoding()).empty()); }

}  // namespace
}  // namespace hone
