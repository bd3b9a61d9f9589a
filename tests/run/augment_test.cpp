// Further training rows with some words changed.
#include "run/augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "run/check.h"
#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"
#include "tasks/fields.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;

AugmentOptions options(const std::string& yaml) {
  Config section = Config::parse(yaml, "augment");
  AugmentOptions read = AugmentOptions::read(section);
  section.refuse_unknown();
  return read;
}

std::shared_ptr<Task> task(const std::string& name) {
  Config section = Config::parse("{}", "task");
  return task_named(name).make(section, 0);
}

Record text_row(const std::string& text) { return {{{"text", text}, {"label", "a"}}, nullptr}; }

std::multiset<std::string> split_words(const std::string& text) {
  std::multiset<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    words.insert(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

constexpr const char* kText = "one two three four five six seven eight nine ten";

TEST(Augment, SwapsKeepAllWords) {
  const auto classify = task("classify");
  const Augmenter augmenter(options("{by: [swap], words: 0.3}"), *classify);
  int64_t moved = 0;
  for (int64_t row = 0; row < 30; ++row) {
    const std::string text = augmenter.changed(text_row(kText), row, 0)->fields["text"];
    EXPECT_EQ(split_words(text), split_words(kText));
    moved += text != kText;
  }
  EXPECT_GT(moved, 25);
}

TEST(Augment, DeletesTheShareAndNeverAll) {
  const auto classify = task("classify");
  const Augmenter some(options("{by: [delete], words: 0.3}"), *classify);
  const auto words = split_words(some.changed(text_row(kText), 1, 0)->fields["text"]);
  EXPECT_EQ(words.size() - words.count(""), 7U);
  const Augmenter all(options("{by: [delete], words: 1}"), *classify);
  for (const char* text : {kText, "one", "one two"}) {
    const std::string left =
        all.changed(text_row(text), 1, 0).value_or(text_row(text)).fields["text"];
    EXPECT_NE(left.find_first_not_of(' '), std::string::npos) << text;
  }
}

TEST(Augment, InsertsSynonymsBehindWords) {
  const testing_support::TemporaryFolder folder;
  const std::string lexicon = folder.write("l.txt", "one single\n");
  const auto classify = task("classify");
  const auto written = [&](const std::string& by) {
    const Augmenter augmenter(options("{by: " + by + ", words: 1, lexicon: " + lexicon + "}"),
                              *classify);
    std::set<std::string> seen;
    for (int64_t row = 0; row < 40; ++row)
      seen.insert(augmenter.changed(text_row("one"), row, 0)->fields["text"].get<std::string>());
    return seen;
  };
  EXPECT_EQ(written("[insert, synonyms]"), (std::set<std::string>{"single", "one single"}));
  EXPECT_EQ(written("[insert]"), (std::set<std::string>{"one single"}));
  EXPECT_EQ(written("[insert, punctuation]").count("one single"), 1);
}

TEST(Augment, IsAFunctionOfSeedRowAndCopy) {
  const auto classify = task("classify");
  const Augmenter augmenter(options("{by: [swap, delete, typos]}"), *classify);
  const auto at = [&](int64_t row, int64_t copy) {
    return augmenter.changed(text_row(kText), row, copy)->fields["text"].get<std::string>();
  };
  EXPECT_EQ(at(3, 1), at(3, 1));
  std::set<std::string> seen;
  for (int64_t i = 0; i < 20; ++i) seen.insert({at(i, 0), at(0, i)});
  EXPECT_GT(seen.size(), 15U);
}

TEST(Augment, LeavesTaggedTokensAndTheirNumberAlone) {
  const auto ner = task("ner");
  const Augmenter augmenter(options("{by: [typos, delete, swap, insert, case], words: 1}"), *ner);
  const Record row{{{"tokens", {"Anna", "lives", "somewhere", "in", "Paris"}},
                    {"tags", {"B-PER", "O", "O", "O", "B-LOC"}}},
                   nullptr};
  int64_t copies = 0;
  for (int64_t i = 0; i < 40; ++i) {
    const std::optional<Record> changed = augmenter.changed(row, i, 0);
    if (!changed) continue;  // of each word a way was drawn that tokens do not have
    ++copies;
    const Json tokens = changed->fields["tokens"];
    ASSERT_EQ(tokens.size(), 5U);
    EXPECT_EQ(tokens[0], "Anna");
    EXPECT_EQ(tokens[4], "Paris");
  }
  EXPECT_GT(copies, 20);
}

TEST(Augment, BlanksStayAsTheScriptHasThem) {
  const auto classify = task("classify");
  const Augmenter fewer(options("{by: [delete], words: 0.6}"), *classify),
      more(options("{by: [insert], words: 1}"), *classify);
  for (int64_t row = 0; row < 20; ++row) {
    const std::string left = fewer.changed(text_row(kText), row, 0)->fields["text"];
    EXPECT_EQ(split_words(left).size(), 4U) << "[" << left << "]";
    EXPECT_EQ(split_words(left).count(""), 0U) << "[" << left << "]";
  }
  EXPECT_EQ(more.changed(text_row("one two"), 0, 0)->fields["text"], "one one two two");
  const std::string chinese = more.changed(text_row("我们喜欢音乐"), 0, 0)->fields["text"];
  EXPECT_GT(chinese.size(), std::string("我们喜欢音乐").size());
  EXPECT_EQ(chinese.find(' '), std::string::npos) << chinese;
}

TEST(Augment, SpansBesideWordsThatComeAndGoPointAtTheSameText) {
  const auto ner = task("ner");
  const Augmenter augmenter(options("{by: [delete, swap, insert], words: 1}"), *ner);
  for (const auto& [text, name, start, end] :
       std::vector<std::tuple<std::string, std::string, int, int>>{
           {"one two Paris three four", "Paris", 8, 13},
           {"one Paris", "Paris", 4, 9},
           {"Paris one two", "Paris", 0, 5},
           {"我们喜欢巴黎的音乐", "巴黎", 4, 6}}) {
    const Record row{
        {{"text", text}, {"entities", {{{"start", start}, {"end", end}, {"label", "LOC"}}}}},
        nullptr};
    for (int64_t copy = 0; copy < 30; ++copy) {
      const std::optional<Record> changed = augmenter.changed(row, 0, copy);
      if (!changed) continue;
      const std::string other = changed->fields["text"];
      const auto at = static_cast<int32_t>(other.find(name));
      ASSERT_NE(other.find(name), std::string::npos) << other;
      const Span there =
          changed->edits.at("text").as_read({at, at + static_cast<int32_t>(name.size())});
      EXPECT_EQ(bytes_of(text, there), name) << other;
    }
  }
}

TEST(Augment, RowsOfWhichNoWordCanBeChangedHaveNoCopy) {
  const auto ner = task("ner");
  const Augmenter augmenter(options("{by: [delete, swap], words: 1}"), *ner);
  const Record whole{
      {{"text", "Anna Smith"}, {"entities", {{{"start", 0}, {"end", 10}, {"label", "PER"}}}}},
      nullptr};
  EXPECT_FALSE(augmenter.changed(whole, 0, 0).has_value());
  const Record empty{{{"text", ""}, {"entities", Json::array()}}, nullptr};
  EXPECT_FALSE(augmenter.changed(empty, 0, 0).has_value());
  const testing_support::TemporaryFolder folder;
  const std::string lexicon = folder.write("l.txt", "音乐 乐曲\n");
  const auto classify = task("classify");
  const Augmenter foreign(options("{by: [synonyms], words: 1, lexicon: " + lexicon + "}"),
                          *classify);
  EXPECT_FALSE(foreign.changed(text_row(kText), 0, 0).has_value());
  EXPECT_TRUE(foreign.changed(text_row("我们喜欢音乐"), 0, 0).has_value());
}

// The share is of words that are changed: where the words drawn first cannot be, others are.
TEST(Augment, ChangesAWordWhereverThereIsOne) {
  const testing_support::TemporaryFolder folder;
  const std::string lexicon = folder.write("l.txt", "seven 7th\n");
  const auto classify = task("classify");
  const Augmenter augmenter(options("{by: [synonyms], lexicon: " + lexicon + "}"), *classify);
  for (int64_t row = 0; row < 10; ++row) {
    const std::optional<Record> changed = augmenter.changed(text_row(kText), row, 0);
    ASSERT_TRUE(changed) << row;
    EXPECT_THAT(changed->fields["text"].get<std::string>(), HasSubstr("six 7th eight"));
  }
}

TEST(Augment, OfRowsThatCannotBeChangedIsToldAndTrainsOnTheRowsAlone) {
  const RunInFolder folder;
  const std::string lexicon = folder / "l.txt";
  write_file(lexicon, "音乐 乐曲\n");
  testing::internal::CaptureStderr();
  fine_tune(folder.config("augment: {by: [synonyms], lexicon: " + lexicon + "}\n",
                          {"train.max_steps=2"}));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("are as their rows, and are left out"));
  EXPECT_THAT(said, HasSubstr("every copy is as its row"));
}

TEST(Augment, TheBaselineLearnsFromTheRowsOfTheFileAlone) {
  const RunInFolder folder;
  const LinearBaseline plain = *check(folder.config(), true).baseline,
                       more = *check(folder.config("augment: {copies: 3}\n"), true).baseline;
  EXPECT_EQ(plain.features, more.features);
  EXPECT_EQ(plain.report.json(), more.report.json());
}

// The tags of the words that are left are those of the same words before.
TEST(Augment, EntitiesStayWithTheirWords) {
  const RunInFolder folder;
  const auto tokenizer = Tokenizer::load(folder / "bert");
  const auto ner = task("ner");
  const std::string text = "word1 word2 word3 word4 word5 word6 word7";
  const Record row{
      {{"text", text}, {"entities", {{{"start", 18}, {"end", 23}, {"label", "PER"}}}}},  // word4
      nullptr};
  ner->learn(row);
  ner->finish_learning();
  const Augmenter augmenter(options("{by: [delete, swap, insert], words: 1}"), *ner);
  const int32_t word4 = *tokenizer->id("word4");
  for (int64_t copy = 0; copy < 30; ++copy) {
    const Record changed = *augmenter.changed(row, 0, copy);
    const Sample sample = ner->encode(changed, *tokenizer, true).front();
    int64_t tagged = 0;
    for (size_t i = 0; i < sample.streams[0].ids.size(); ++i) {
      const bool is_entity = sample.targets[0].values[i] > 0;  // O is the first tag
      tagged += is_entity;
      if (is_entity) EXPECT_EQ(sample.streams[0].ids[i], word4) << changed.fields["text"];
    }
    EXPECT_EQ(tagged, 1) << changed.fields["text"];
  }
}

TEST(Augment, AddsCopiesToTrainingAloneAndResumesTheSame) {
  const RunInFolder folder;
  const RunResult plain = fine_tune(folder.config("", {"output.dir=" + folder / "plain"}));
  const RunResult more =
      fine_tune(folder.config("augment: {copies: 2}\n", {"output.dir=" + folder / "more"}));
  EXPECT_EQ(more.training.steps, 2 * ((3 * 42 + 7) / 8));
  EXPECT_EQ(plain.training.steps, 2 * ((42 + 7) / 8));
  EXPECT_EQ(more.test->report.n, plain.test->report.n);
  const RunResult again =
      fine_tune(folder.config("augment: {copies: 2}\n", {"output.dir=" + folder / "again"}));
  EXPECT_EQ(again.test->report.json(), more.test->report.json());
}

TEST(Augment, WhatCannotBeIsRefused) {
  EXPECT_THAT(error_of([] { options("{by: [swop]}"); }), HasSubstr("did you mean \"swap\""));
  EXPECT_THAT(error_of([] { options("{by: []}"); }), HasSubstr("must name how"));
  EXPECT_THAT(error_of([] { options("{copies: 0}"); }), HasSubstr("from 1 to 100"));
  EXPECT_THAT(error_of([] { options("{words: 0}"); }), HasSubstr("above 0"));
  EXPECT_THAT(error_of([] { options("{copy: 1}"); }), HasSubstr("copies"));
  const auto classify = task("classify");
  EXPECT_THAT(error_of([&] { Augmenter(options("{by: [synonyms]}"), *classify); }),
              HasSubstr("--lexicon"));
  EXPECT_THAT(error_of([&] { Augmenter(options("{by: [typos, typos]}"), *classify); }),
              HasSubstr("stands twice"));
  for (const char* idle : {"{lexicon: l.txt}", "{by: [delete], masked: folder}"})
    EXPECT_THAT(error_of([&] { Augmenter(options(idle), *classify); }),
                HasSubstr("which is not asked for"));
}

}  // namespace
}  // namespace hone
