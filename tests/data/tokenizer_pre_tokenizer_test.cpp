#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& json, std::string_view text) {
  const Json value = parse_json(json, Where{"p.json"}, ErrorKind::kModel);
  NormalizedText changed(text, 0, static_cast<int32_t>(text.size()));
  std::vector<Span> words{{0, static_cast<int32_t>(text.size())}};
  make_pre_tokenizer({value, "p.json"})->apply(changed, words);
  Words out;
  for (const Span word : words)
    out.emplace_back(changed.view().substr(word.start, word.end - word.start));
  return out;
}

TEST(BertPreTokenizer, SplitsAtWhiteSpaceAndAroundPunctuation) {
  EXPECT_EQ(split(R"({"type": "BertPreTokenizer"})", " Hi, there\u3000\u201cyou\u201d...\t"),
            (Words{"Hi", ",", "there", "\u201c", "you", "\u201d", ".", ".", "."}));
}

TEST(Whitespace, SplitsRunsOfWordAndOfOtherCharacters) {
  EXPECT_EQ(split(R"({"type": "Whitespace"})", "Hey friend!!  a_1-2"),
            (Words{"Hey", "friend", "!!", "a_1", "-", "2"}));
  EXPECT_EQ(split(R"({"type": "WhitespaceSplit"})", " Hey friend!! "), (Words{"Hey", "friend!!"}));
}

TEST(Punctuation, DoesEachThingWithIt) {
  const auto with = [](const std::string& behavior) {
    return split(R"({"type": "Punctuation", "behavior": ")" + behavior + "\"}",
                 "the-final--countdown");
  };
  EXPECT_EQ(with("Removed"), (Words{"the", "final", "countdown"}));
  EXPECT_EQ(with("Isolated"), (Words{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(with("MergedWithPrevious"), (Words{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(with("MergedWithNext"), (Words{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(with("Contiguous"), (Words{"the", "-", "final", "--", "countdown"}));
}

TEST(PreTokenizer, RunsASequenceInItsOrder) {
  EXPECT_EQ(
      split(
          R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Punctuation"}]})",
          "a,b c"),
      (Words{"a", ",", "b", "c"}));
  EXPECT_EQ(
      split(
          R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}, {"type": "ByteLevel", "add_prefix_space": false}]})",
          "it's 1"),
      (Words{"it", "'", "s", " 1"}));
}

TEST(PreTokenizer, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] { split(R"({"type": "UnicodeScripts"})", "a"); }),
            "p.json: \"type\": \"UnicodeScripts\" is not a supported pre-tokenizer");
  EXPECT_EQ(
      error_of([] {
        split(
            R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": true}, {"type": "Whitespace"}]})",
            "a");
      }),
      "p.json: \"pretokenizers[1]\": a pre-tokenizer after ByteLevel is not supported");
  EXPECT_EQ(
      error_of([] {
        split(
            R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false})",
            "a");
      }),
      "p.json: \"add_prefix_space\" is false, but \"prepend_scheme\" is \"first\"");
  EXPECT_EQ(error_of([] { split(R"({"type": "Metaspace", "replacement": "ab"})", "a"); }),
            "p.json: \"replacement\": expected one character");
}

TEST(Metaspace, PutsAMarkForEachBlankAndBeforeTheText) {
  const auto with = [](const std::string& options, std::string_view text) {
    return split(R"({"type": "Metaspace", "replacement": "_")" + options + "}", text);
  };
  EXPECT_EQ(with("", "hey  you_x "), (Words{"_hey", "_", "_you", "_x", "_"}));
  EXPECT_EQ(with("", " hey"), (Words{"_hey"}));
  EXPECT_EQ(with(R"(, "split": false)", "hey you"), (Words{"_hey_you"}));
  EXPECT_EQ(with(R"(, "prepend_scheme": "never")", "hey you"), (Words{"hey", "_you"}));
  EXPECT_EQ(with(R"(, "add_prefix_space": false, "prepend_scheme": "never")", "a"), (Words{"a"}));
  EXPECT_EQ(
      split(
          R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}]})",
          "a b"),
      (Words{"_a", "b"}));
}

TEST(ByteLevelPreTokenizer, PutsABlankBeforeEachWordOfAnEarlierOne) {
  EXPECT_EQ(
      split(
          R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "ByteLevel", "add_prefix_space": true}]})",
          "a b's"),
      (Words{" a", " b", "'s"}));
}

TEST(PreTokenizer, SplitsAtDigitsAndCharacters) {
  EXPECT_EQ(split(R"({"type": "Digits", "individual_digits": true})", "a12b"),
            (Words{"a", "1", "2", "b"}));
  EXPECT_EQ(split(R"({"type": "Digits", "individual_digits": false})", "a12b"),
            (Words{"a", "12", "b"}));
  EXPECT_EQ(split(R"({"type": "CharDelimiterSplit", "delimiter": "\u00e9"})", "a\u00e9\u00e9b"),
            (Words{"a", "b"}));
}

RC_GTEST_PROP(PreTokenizer, GivesWordsInOrderThatDoNotOverlap, ()) {
  const std::string text = *any_text();
  const auto type = *rc::gen::element<std::string>("BertPreTokenizer", "Whitespace",
                                                   "WhitespaceSplit", "Punctuation");
  const Json value = {{"type", type}};
  NormalizedText same(text, 0, static_cast<int32_t>(text.size()));
  std::vector<Span> words{{0, static_cast<int32_t>(text.size())}};
  make_pre_tokenizer({value, "p.json"})->apply(same, words);
  int32_t end = 0;
  for (const Span word : words) {
    RC_ASSERT(word.start >= end && word.start < word.end &&
              word.end <= static_cast<int32_t>(text.size()));
    end = word.end;
  }
}

}  // namespace
}  // namespace hone
