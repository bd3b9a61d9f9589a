#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& json, std::string_view text) {
  const Json value = parse_json(json, Where{"p.json"}, ErrorKind::kModel);
  std::vector<Span> words;
  make_pre_tokenizer({value, "p.json"})->split(text, {0, static_cast<int32_t>(text.size())}, words);
  Words out;
  for (const Span word : words) out.emplace_back(text.substr(word.start, word.end - word.start));
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
  EXPECT_EQ(error_of([] { split(R"({"type": "Metaspace"})", ""); }),
            "p.json: \"type\": \"Metaspace\" is not a supported pre-tokenizer");
  EXPECT_EQ(
      error_of([] {
        split(
            R"({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "ByteLevel", "add_prefix_space": true}]})",
            "");
      }),
      "p.json: \"pretokenizers[1]\": add_prefix_space after another pre-tokenizer is not "
      "supported");
}

RC_GTEST_PROP(PreTokenizer, GivesWordsInOrderThatDoNotOverlap, ()) {
  const std::string text = *any_text();
  const auto type = *rc::gen::element<std::string>("BertPreTokenizer", "Whitespace",
                                                   "WhitespaceSplit", "Punctuation");
  const Json value = {{"type", type}};
  std::vector<Span> words;
  make_pre_tokenizer({value, "p.json"})->split(text, {0, static_cast<int32_t>(text.size())}, words);
  int32_t end = 0;
  for (const Span word : words) {
    RC_ASSERT(word.start >= end && word.start < word.end &&
              word.end <= static_cast<int32_t>(text.size()));
    end = word.end;
  }
}

}  // namespace
}  // namespace hone
