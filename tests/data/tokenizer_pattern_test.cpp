#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "data/tokenizer/formats/bpe_patterns.h"
#include "data/tokenizer/patterns/pattern.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using Matches = std::vector<std::string>;

Pattern pattern_of(const std::string& text) {
  const Json value = text;
  return Pattern({value, "t.json", "Regex"});
}

// The matches one after the other; characters without one are left out.
Matches matches_of(const std::string& expression, std::string_view text) {
  const Pattern pattern = pattern_of(expression);
  Matches out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = pattern.match(text, at);
    if (end == Pattern::kNone || end == at) {
      next_code_point(text, at);
    } else {
      out.emplace_back(text.substr(at, end - at));
      at = end;
    }
  }
  return out;
}

TEST(Pattern, TakesTheFirstAlternativeThatFitsNotTheLongest) {
  EXPECT_EQ(matches_of("a|ab", "ab"), (Matches{"a"}));
  EXPECT_EQ(matches_of("(?:a|ab)(?:c|bcd)d*", "abcd"), (Matches{"abcd"}));
  EXPECT_EQ(matches_of("ab|a", "aab"), (Matches{"a", "ab"}));
}

TEST(Pattern, RepeatsGreedilyLazilyAndWithinBounds) {
  EXPECT_EQ(matches_of("a+", "aaab"), (Matches{"aaa"}));
  EXPECT_EQ(matches_of("a+?", "aaab"), (Matches{"a", "a", "a"}));
  EXPECT_EQ(matches_of("a*?b", "aaab"), (Matches{"aaab"}));
  EXPECT_EQ(matches_of("\\d{1,3}", "12345"), (Matches{"123", "45"}));
  EXPECT_EQ(matches_of("a{2}", "aaaaa"), (Matches{"aa", "aa"}));
  EXPECT_EQ(matches_of("a{2,}", "aabaaa"), (Matches{"aa", "aaa"}));
  EXPECT_EQ(matches_of("a{,2}b", "aaab"), (Matches{"aab"}));
  EXPECT_EQ(matches_of("(?:a?b?)+c", "abbac"), (Matches{"abbac"}));
}

TEST(Pattern, KnowsClassesAndCategories) {
  EXPECT_EQ(matches_of(R"([^\s\p{L}\p{N}]+)", "a!? 1\u00bf"), (Matches{"!?", "\u00bf"}));
  EXPECT_EQ(matches_of(R"(\p{Lu}\p{Ll}+)", "\u00c9t\u00e9 abc Zoo"),
            (Matches{"\u00c9t\u00e9", "Zoo"}));
  EXPECT_EQ(matches_of(R"([^(\s|[.,!?…。，])]+)", "a(b.c,d。"), (Matches{"a", "b", "c", "d"}));
  EXPECT_EQ(matches_of(R"([\x41-C\u4e00-\x{9fa5}\-]+)", "ABD-\u4e2d"), (Matches{"AB", "-\u4e2d"}));
  EXPECT_EQ(matches_of(R"(\P{L}\S.)", "1ab"), (Matches{"1ab"}));
}

TEST(Pattern, IgnoresCaseWhereItIsTold) {
  EXPECT_EQ(matches_of("(?i:'s|'re)x", "'Sx 'rEx 'sX"), (Matches{"'Sx", "'rEx"}));
  EXPECT_EQ(matches_of("(?i:\u00e9)", "\u00c9"), (Matches{"\u00c9"}));
}

TEST(Pattern, LooksAtOneCharacterAhead) {
  EXPECT_EQ(matches_of(R"(\s+(?!\S)|\s+)", "  a "), (Matches{" ", " ", " "}));
  EXPECT_EQ(matches_of("a(?=b)", "abac"), (Matches{"a"}));
}

TEST(Pattern, CutsAsTheFamiliesDo) {
  EXPECT_EQ(matches_of(kCl100kPattern, "I'LL be 12345!!\n\n  x  y"),
            (Matches{"I", "'LL", " be", " ", "123", "45", "!!\n\n", " ", " x", " ", " y"}));
  EXPECT_EQ(matches_of(kQwenPattern, "a 12"), (Matches{"a", " ", "1", "2"}));
  EXPECT_EQ(matches_of(kO200kPattern, "HelloWorld's ABCdef /\n"),
            (Matches{"Hello", "World's", " ABCdef", " /\n"}));
  EXPECT_EQ(matches_of(kClipPattern, "it's <|endoftext|>12 <x>"),
            (Matches{"it", "'s", "<|endoftext|>", "1", "2", "<", "x", ">"}));
}

TEST(Pattern, SaysWhatIsWrongAndWhere) {
  const auto error = [](const std::string& text) { return error_of([&] { pattern_of(text); }); };
  EXPECT_EQ(error("a(b"),
            "t.json: \"Regex\": a ( without its ) (character 4 of the regular expression)");
  EXPECT_EQ(error("a)"),
            "t.json: \"Regex\": a ) without its ( (character 2 of the regular expression)");
  for (const char* text :
       {"[a", "a{3", "\\", "\\p{L", "*a", "a**", "a++", "[z-a]", "a{3,2}", "\\p{Xx}", "\\1", "^a",
        "a$", "(?<=a)b", "(?!ab)c", "[[:alpha:]]", "\\x{110000}", "\\bx", "a{1001}"})
    EXPECT_NE(error(text), "no error") << text;
}

TEST(Pattern, RefusesAnAutomatonOutOfAllProportion) {
  const auto error = [](const std::string& text) { return error_of([&] { pattern_of(text); }); };
  EXPECT_NE(error("(a|b)*a(a|b){30}"), "no error");
  EXPECT_NE(error("(((a{100}){100}){100}){100}"), "no error");
  EXPECT_NE(error(std::string(10'000, '(')), "no error");
  std::string ranges = "[";
  for (char32_t c = 0x4E00; c < 0x5800; c += 2) append_utf8(ranges, c);
  EXPECT_NE(error(ranges + "]"), "no error");
}

RC_GTEST_PROP(Pattern, OfAFamilyCoversEveryText, ()) {
  static const Pattern pattern = pattern_of(kCl100kPattern);
  const std::string text = *any_text();
  for (size_t at = 0; at < text.size();) {
    const size_t end = pattern.match(text, at);
    RC_ASSERT(end != Pattern::kNone && end > at && end <= text.size());
    at = end;
  }
}

}  // namespace
}  // namespace hone
