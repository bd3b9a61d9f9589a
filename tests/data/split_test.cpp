#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"
#include "data/clean.h"
#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<uint64_t> distinct_texts(size_t count) {
  std::vector<uint64_t> texts(count);
  for (size_t i = 0; i < count; ++i) texts[i] = mix(99, i);
  return texts;
}

int64_t count(const std::vector<Part>& parts, Part part) {
  return std::count(parts.begin(), parts.end(), part);
}

TEST(AssignParts, KeepsTheProportionsOfEachLabel) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < 5000; ++i)
    labels.push_back(i % 10 == 0 ? "rare" : i % 10 < 4 ? "some" : "common");
  SplitOptions options;
  options.validation = 0.1;
  options.test = 0.2;
  const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(5000));
  EXPECT_EQ(count(parts, Part::kTest), 1000);
  EXPECT_EQ(count(parts, Part::kValidation), 500);
  std::map<std::string, int> test;
  for (size_t i = 0; i < parts.size(); ++i) test[labels[i]] += parts[i] == Part::kTest ? 1 : 0;
  EXPECT_EQ(test["rare"], 100);
  EXPECT_EQ(test["some"], 300);
  EXPECT_EQ(test["common"], 600);
}

TEST(AssignParts, LeavesTheOnlyRowOfALabelInTrain) {
  std::vector<std::string> labels(100, "common");
  labels[17] = "only";
  SplitOptions options;
  const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(100));
  EXPECT_EQ(parts[17], Part::kTrain);
  EXPECT_EQ(count(parts, Part::kTest), 10);
  EXPECT_EQ(count(parts, Part::kValidation), 10);
}

TEST(AssignParts, GivesEachSmallLabelItsChance) {
  constexpr size_t kLabels = 50, kRows = 4, kSeeds = 200;
  std::vector<std::string> labels;
  for (size_t i = 0; i < kLabels * kRows; ++i) labels.push_back("c" + std::to_string(i / kRows));
  std::map<std::string, int> tested;
  for (size_t seed = 0; seed < kSeeds; ++seed) {
    SplitOptions options;
    options.seed = static_cast<int64_t>(seed);
    const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(labels.size()));
    EXPECT_EQ(count(parts, Part::kTest), 20);
    EXPECT_EQ(count(parts, Part::kValidation), 20);
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i] == Part::kTest) ++tested[labels[i]];
  }
  // Each is drawn with probability 0.4: 80 times of 200, with a standard deviation of 7.
  ASSERT_EQ(tested.size(), kLabels);
  for (const auto& [label, times] : tested) {
    EXPECT_GT(times, 45) << label;
    EXPECT_LT(times, 115) << label;
  }
}

TEST(AssignParts, GivesSmallerRemaindersASmallerChanceNotNone) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < 25 * 9; ++i)
    labels.push_back(i % 9 < 5 ? "five" + std::to_string(i / 9) : "four" + std::to_string(i / 9));
  int four = 0, five = 0;
  for (int64_t seed = 0; seed < 100; ++seed) {
    SplitOptions options;
    options.seed = seed;
    const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(labels.size()));
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] != Part::kTest) continue;
      ++(labels[i].starts_with("four") ? four : five);
    }
  }
  EXPECT_GT(four, 700);
  EXPECT_GT(five, four);
}

TEST(AssignParts, LeavesARowOfEachLabelInTrain) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < 80; ++i) labels.push_back("pair" + std::to_string(i / 2));
  for (int64_t seed = 0; seed < 20; ++seed) {
    SplitOptions options;
    options.validation = options.test = 0.2;
    options.seed = seed;
    const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(80));
    for (size_t i = 0; i < 80; i += 2)
      EXPECT_TRUE(parts[i] == Part::kTrain || parts[i + 1] == Part::kTrain) << seed;
  }
}

RC_GTEST_PROP(AssignParts, GroupsStayTogetherNearTheSharesOfRowsAndLabels, ()) {
  const auto rows = *rc::gen::inRange<size_t>(300, 1500);
  const auto largest = *rc::gen::inRange<size_t>(1, 12);
  std::vector<uint64_t> groups;
  std::vector<std::string> labels;
  for (uint64_t group = 0; groups.size() < rows; ++group) {
    const size_t size = 1 + mix(group, 7) % largest;
    for (size_t i = 0; i < size; ++i) {
      groups.push_back(group);
      labels.push_back((mix(group, 3) + i) % 4 == 0 ? "rare" : "common");
    }
  }
  SplitOptions options;
  options.group = "dialogue";
  options.seed = *rc::gen::arbitrary<int64_t>();
  const std::vector<Part> parts = assign_parts(options, labels, groups);
  std::map<uint64_t, Part> of_group;
  double rare = 0, rare_in_test = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    RC_ASSERT(of_group.emplace(groups[i], parts[i]).first->second == parts[i]);
    rare += labels[i] == "rare" ? 1 : 0;
    rare_in_test += labels[i] == "rare" && parts[i] == Part::kTest ? 1 : 0;
  }
  const auto near = static_cast<double>(2 * largest + 2);
  RC_ASSERT(std::abs(static_cast<double>(count(parts, Part::kTest)) -
                     0.1 * static_cast<double>(groups.size())) <= near);
  RC_ASSERT(std::abs(rare_in_test - 0.1 * rare) <= near);
}

TEST(AssignParts, DependsOnTheSeed) {
  SplitOptions options, other;
  other.seed = 43;
  EXPECT_NE(assign_parts(options, {}, distinct_texts(200)),
            assign_parts(other, {}, distinct_texts(200)));
}

RC_GTEST_PROP(AssignParts, EqualTextsStayTogetherAndTheOrderOfRowsDoesNotMatter, ()) {
  const auto count = *rc::gen::inRange<size_t>(0, 300);
  const auto texts =
      *rc::gen::container<std::vector<uint64_t>>(count, rc::gen::inRange<uint64_t>(0, 60));
  const auto labels = *rc::gen::container<std::vector<std::string>>(
      count, rc::gen::element<std::string>("a", "b", "c"));
  SplitOptions options;
  options.seed = *rc::gen::arbitrary<int64_t>();
  const std::vector<Part> parts = assign_parts(options, labels, texts);
  RC_ASSERT(parts.size() == count);
  std::map<uint64_t, Part> of_text;
  for (size_t i = 0; i < count; ++i)
    RC_ASSERT(of_text.emplace(texts[i], parts[i]).first->second == parts[i]);

  const std::vector<int64_t> order = permutation(static_cast<int64_t>(count), 5);
  std::vector<uint64_t> moved_texts(count);
  std::vector<std::string> moved_labels(count);
  for (size_t i = 0; i < count; ++i) {
    moved_texts[i] = texts[static_cast<size_t>(order[i])];
    moved_labels[i] = labels[static_cast<size_t>(order[i])];
  }
  const std::vector<Part> moved = assign_parts(options, moved_labels, moved_texts);
  for (size_t i = 0; i < count; ++i) RC_ASSERT(moved[i] == parts[static_cast<size_t>(order[i])]);
}

RC_GTEST_PROP(AssignParts, PartsAreAsLargeAsAsked, ()) {
  const auto rows = *rc::gen::inRange<size_t>(1, 2000);
  SplitOptions options;
  options.validation = *rc::gen::element(0.0, 0.05, 0.1, 0.3);
  options.test = *rc::gen::element(0.0, 0.1, 0.2, 0.5);
  const auto labels = *rc::gen::container<std::vector<std::string>>(
      rows, rc::gen::element<std::string>("a", "b", "c", "d"));
  const std::vector<Part> parts = assign_parts(options, labels, distinct_texts(rows));
  RC_ASSERT(std::abs(static_cast<double>(count(parts, Part::kTest)) -
                     options.test * static_cast<double>(rows)) <= 0.5);
  RC_ASSERT(std::abs(static_cast<double>(count(parts, Part::kValidation)) -
                     options.validation * static_cast<double>(rows)) <= 0.5);
}

TEST(AssignParts, StrataOfOneRowGiveItToOnePartOnly) {
  SplitOptions options;
  options.validation = 0.3;
  options.test = 0.2;
  const std::vector<Part> parts = assign_parts(options, {"b", "d", "a"}, distinct_texts(3));
  EXPECT_EQ(count(parts, Part::kTest), 1);
  EXPECT_EQ(count(parts, Part::kValidation), 1);
}

TEST(AssignParts, FollowsTheRuleOfTen) {
  SplitOptions options;
  options.rule = "mod10";
  const std::vector<Part> parts = assign_parts(options, {}, distinct_texts(12));
  using enum Part;
  EXPECT_THAT(parts, ElementsAre(kTest, kValidation, kTrain, kTrain, kTrain, kTrain, kTrain, kTrain,
                                 kTrain, kTrain, kTest, kValidation));
}

TEST(SplitOptions, RefuseSharesThatLeaveNothingToTrainOn) {
  Config section = Config::parse("test: 0.5\nvalidation: 0.5\n", "c");
  EXPECT_THAT(error_of([&] { SplitOptions::read(section); }),
              HasSubstr("c:1:7: \"validation\" and \"test\" take 1 of the rows"));
  Config negative = Config::parse("test: -0.1\n", "c");
  EXPECT_THAT(error_of([&] { SplitOptions::read(negative); }),
              HasSubstr("c:1:7: \"test\" is -0.1"));
  Config grouped = Config::parse("rule: mod10\ngroup: id\n", "c");
  EXPECT_THAT(error_of([&] { SplitOptions::read(grouped); }), HasSubstr("c:2:8"));
  Config good = Config::parse("rule: mod10\nstratify: label\nseed: 7\n", "c");
  const SplitOptions options = SplitOptions::read(good);
  EXPECT_EQ(options.rule, "mod10");
  EXPECT_EQ(options.stratify, "label");
  EXPECT_EQ(options.seed, 7);
}

SplitOptions fold(int64_t number, int64_t folds, double validation = 0) {
  SplitOptions options;
  options.folds = folds;
  options.fold = number;
  options.validation = validation;
  return options;
}

TEST(Folds, TestEachRowOnceAndKeepTheProportionsOfEachLabel) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < 503; ++i) labels.push_back(i % 10 == 0 ? "rare" : "common");
  const std::vector<uint64_t> texts = distinct_texts(labels.size());
  std::vector<int> tested(labels.size());
  for (int64_t number = 1; number <= 5; ++number) {
    const std::vector<Part> parts = assign_parts(fold(number, 5, 0.1), labels, texts);
    int64_t rare = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      tested[i] += parts[i] == Part::kTest;
      rare += parts[i] == Part::kTest && labels[i] == "rare";
    }
    EXPECT_NEAR(static_cast<double>(count(parts, Part::kTest)), 503 / 5.0, 1.5) << number;
    EXPECT_NEAR(static_cast<double>(rare), 51 / 5.0, 1.5) << number;
    EXPECT_NEAR(static_cast<double>(count(parts, Part::kValidation)), 40, 1.5) << number;
  }
  EXPECT_EQ(tested, std::vector<int>(labels.size(), 1));
}

TEST(Folds, KeepGroupsTogether) {
  std::vector<std::string> labels;
  std::vector<uint64_t> groups;
  for (size_t i = 0; i < 300; ++i) {
    labels.push_back(i % 3 == 0 ? "a" : "b");
    groups.push_back(mix(7, i / 4));
  }
  std::map<uint64_t, int64_t> fold_of;
  for (int64_t number = 1; number <= 4; ++number) {
    SplitOptions options = fold(number, 4, 0.1);
    options.group = "author";
    const std::vector<Part> parts = assign_parts(options, labels, groups);
    std::map<uint64_t, Part> of_group;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(of_group.emplace(groups[i], parts[i]).first->second, parts[i]);
      if (parts[i] == Part::kTest)
        EXPECT_EQ(fold_of.emplace(groups[i], number).first->second, number);
    }
  }
  EXPECT_EQ(fold_of.size(), 75U);
}

TEST(Folds, NeverTestTheOnlyRowOfALabel) {
  std::vector<std::string> labels(60, "common");
  labels[17] = "only";
  labels[20] = labels[40] = "twice";
  int64_t twice = 0;
  for (int64_t number = 1; number <= 5; ++number) {
    const std::vector<Part> parts = assign_parts(fold(number, 5, 0.2), labels, distinct_texts(60));
    EXPECT_EQ(parts[17], Part::kTrain);
    EXPECT_TRUE(parts[20] == Part::kTrain || parts[40] == Part::kTrain) << number;
    twice += (parts[20] == Part::kTest) + (parts[40] == Part::kTest);
  }
  EXPECT_EQ(twice, 2);
}

// Where rows go by author, all rows of a label may be of one: nobody else's could be trained on.
TEST(Folds, NeverTestTheOnlyGroupOfALabel) {
  std::vector<std::string> labels(60, "common");
  std::vector<uint64_t> authors;
  for (size_t i = 0; i < 60; ++i) authors.push_back(mix(7, i / 3));
  labels[18] = labels[19] = "only";  // of one author, whose third row is common
  std::vector<int64_t> tested(60);
  for (int64_t number = 1; number <= 5; ++number) {
    SplitOptions options = fold(number, 5, 0.2);
    options.group = "author";
    const std::vector<Part> parts = assign_parts(options, labels, authors);
    for (size_t i = 0; i < 60; ++i) tested[i] += parts[i] == Part::kTest;
  }
  for (size_t i = 0; i < 60; ++i) EXPECT_EQ(tested[i], i / 3 == 6 ? 0 : 1) << i;
}

TEST(Folds, DoNotDependOnTheOrderOfRows) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < 50; ++i) labels.push_back(i % 2 == 0 ? "a" : "b");
  std::vector<uint64_t> texts = distinct_texts(50);
  const std::vector<Part> before = assign_parts(fold(2, 5), labels, texts);
  std::reverse(labels.begin(), labels.end());
  std::reverse(texts.begin(), texts.end());
  std::vector<Part> after = assign_parts(fold(2, 5), labels, texts);
  std::reverse(after.begin(), after.end());
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace hone
