#include "tasks/prompt/prompt.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tasks/pipeline.h"
#include "tasks/toy.h"

namespace hone::prompt {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;
using toy::record;

constexpr const char* kWords = "words: {a: word1, b: word2}";

std::unique_ptr<Task> make(const std::string& yaml, int64_t longest = 48) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

std::string error(const std::string& yaml) {
  return error_of([&] { make(yaml); });
}

// The tiny BERT's tokenizer: "word0" to "word39" are tokens, other words are unknown.
class Prompts : public testing::Test {
 protected:
  Prompts() {
    testing_support::write_tiny_bert(folder_.path());
    tokenizer_ = Tokenizer::load(folder_.path());
  }

  std::shared_ptr<Task> trained(const std::string& yaml, int64_t longest = 48) const {
    std::shared_ptr<Task> task = make(yaml, longest);
    const Record row = record(R"({"text": "word3", "label": "a"})");
    task->learn(row);
    task->learn_tokens(row, *tokenizer_);
    task->finish_learning();
    return task;
  }

  std::string shown(const Sample& sample) const {
    return tokenizer_->decode(sample.streams[0].ids, /*skip_special=*/false);
  }

  testing_support::TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST(Pattern, SaysWhatIsWrongWithIt) {
  for (const auto& [pattern, what] :
       {std::pair("{text}", "has no mask"), std::pair("{mask}", "has no field"),
        std::pair("{text} {mask} {mask}", "several masks"), std::pair("{text} {mask", "not closed"),
        std::pair("{text} {} {mask}", "without a name")})
    EXPECT_THAT(error(std::string("pattern: '") + pattern + "'"),
                AllOf(StartsWith("run.yaml:1"), HasSubstr(what)));
}

TEST(Pattern, PutsFieldsAndMaskInTheirPlaces) {
  const Pattern pattern("{b}: {mask}. {a}{b}");
  EXPECT_THAT(pattern.fields(), ElementsAre("b", "a"));
  EXPECT_EQ(pattern.before_mask(), ": ");
  const Pattern::Filled filled = pattern.fill(record(R"({"a": "x", "b": "yy"})"), "[M]");
  EXPECT_EQ(filled.text, "yy: [M]. xyy");
  EXPECT_THAT(filled.fields, ElementsAre(Span{0, 2}, Span{9, 10}, Span{10, 12}));
  EXPECT_EQ(filled.mask, (Span{4, 7}));
}

TEST(Prompt, RefusesWordsThatSayNothing) {
  EXPECT_THAT(error("words: {a: x}"), HasSubstr("one label"));
  EXPECT_THAT(error("words: {a: x, b: []}"), HasSubstr("\"b\" has no word"));
  EXPECT_THAT(error("words: {a: x, b: ' '}"), HasSubstr("blank word"));
  EXPECT_THAT(error("words: {a: x, b: [y, x]}"),
              AllOf(StartsWith("run.yaml:1"), HasSubstr("\"x\" stands for \"a\" and for \"b\"")));
  EXPECT_THAT(error_of([] { make("{}")->learn(record(R"({"text": "x", "label": "a"})")); }),
              HasSubstr("task.words must give"));
}

TEST_F(Prompts, RefusesWordsOfDifferentNumbersOfTokensAndNamesThem) {
  EXPECT_THAT(error_of([&] { trained("words: {a: word1, b: word2 word3}"); }),
              AllOf(HasSubstr("\"word1\" is 1 (word1)"), HasSubstr("is 2 (word2 word3)")));
  EXPECT_THAT(error_of([&] { trained("words: {a: word1, b: unheard}"); }),
              HasSubstr("no tokens for \"unheard\""));
}

// A tokenizer that makes small letters of all cannot tell "Word1" from "word1".
TEST_F(Prompts, RefusesWordsOfTheSameTokens) {
  for (const char* words : {"words: {a: Word1, b: word1}", "words: {a: [word1, Word1], b: word2}"})
    EXPECT_THAT(error_of([&] { trained(words); }),
                AllOf(HasSubstr("task.words"), HasSubstr("\"Word1\""), HasSubstr("\"word1\""),
                      HasSubstr("the same of the vocabulary's tokens, 1 (word1)")))
        << words;
}

TEST_F(Prompts, NamesTheRowOfALabelWithoutAWord) {
  EXPECT_THAT(error_of([&] { make(kWords)->learn(record(R"({"text": "x", "label": "c"})", 7)); }),
              AllOf(StartsWith("data.jsonl:7"), HasSubstr("no word"), HasSubstr("\"a\", \"b\"")));
}

TEST_F(Prompts, FillsThePatternAndTellsWhereTheMaskIs) {
  const auto task =
      trained("{pattern: '{text} word9 {mask} word8', words: {a: word1 word2, b: word2 word1}}");
  const Record row = record(R"({"text": "word3 [MASK]", "label": "b"})");  // a mask of its own
  const Sample sample = task->encode(row, *tokenizer_, true).at(0);
  EXPECT_EQ(shown(sample), "[CLS] word3 [MASK] word9 [MASK] [MASK] word8 [SEP]");
  EXPECT_THAT(sample.targets.at(0).values, ElementsAre(4, 5));
  EXPECT_THAT(sample.targets.at(1).values, ElementsAre(1));
}

TEST_F(Prompts, CutsTheLongestFieldAndNeverThePattern) {
  const auto task =
      trained("{pattern: '{text} word9 {mask} {more}', " + std::string(kWords) + "}", 9);
  bool truncated = false;
  const Record row =
      record(R"({"text": "word1 word2 word3 word4 word5", "more": "word6 word7", "label": "a"})");
  const Sample sample = task->encode(row, *tokenizer_, true, &truncated).at(0);
  EXPECT_EQ(shown(sample), "[CLS] word1 word2 word3 word9 [MASK] word6 word7 [SEP]");
  EXPECT_TRUE(truncated);
  EXPECT_THAT(error_of([&] { trained(kWords, 3)->encode(row, *tokenizer_, true); }),
              AllOf(StartsWith("data.jsonl:1"), HasSubstr("but only 1 fit")));
}

// Logits of the words alone are those of the whole vocabulary, taken at the masks.
TEST_F(Prompts, ScoresWordsAsTheWholeHeadDoes) {
  const auto task = trained(
      "{pattern: '{text} word9 {mask}', words: {a: [word1 word2, word3 word4], b: word5 word6}}");
  const auto pipeline = Pipeline::create(folder_.path(), tokenizer_, task, 3);
  const Record row = record(R"({"text": "word7 word8", "label": "a"})");
  const Sample sample = task->encode(row, *tokenizer_, true).at(0);
  const Batch batch = collate({sample}, {0}, 0);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor scores = pipeline->network().forward(batch);
  auto& head = dynamic_cast<MaskedLmHead&>(pipeline->network().head());
  const at::Tensor all =
      head.MaskedLmHead::forward(pipeline->network().backbone(), batch);  // [N, V]
  const auto of = [&](int place, int word) { return all[4 + place][5 + word].item<float>(); };
  EXPECT_NEAR(scores[0][0].item<float>(), (of(0, 1) + of(1, 2) + of(0, 3) + of(1, 4)) / 2, 1e-5);
  EXPECT_NEAR(scores[0][1].item<float>(), of(0, 5) + of(1, 6), 1e-5);
}

}  // namespace
}  // namespace hone::prompt
