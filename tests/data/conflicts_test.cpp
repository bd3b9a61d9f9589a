#include "data/conflicts.h"

#include <gtest/gtest.h>

namespace hone {
namespace {

// Rows of a.jsonl, from line 1 on.
Conflicts conflicts_of(const std::vector<std::pair<uint64_t, uint64_t>>& texts_and_targets) {
  const auto file = std::make_shared<const std::string>("a.jsonl");
  ConflictFinder finder;
  int64_t line = 0;
  for (const auto& [text, targets] : texts_and_targets)
    finder.add({Json::object(), file, ++line}, text, targets);
  return finder.find();
}

TEST(ConflictFinder, CountsTextsThatStandWithOtherTargets) {
  const Conflicts found = conflicts_of({{7, 1}, {5, 1}, {7, 2}, {6, 3}, {5, 1}, {7, 1}});
  EXPECT_EQ(found.texts, 1);
  EXPECT_EQ(found.rows, 3);
  ASSERT_EQ(found.examples.size(), 1U);
  EXPECT_EQ(found.examples[0].first.str(), "a.jsonl:1");
  EXPECT_EQ(found.examples[0].second.str(), "a.jsonl:3");
}

TEST(ConflictFinder, NamesTheFirstTwentyInTheOrderOfTheFile) {
  std::vector<std::pair<uint64_t, uint64_t>> rows;
  for (uint64_t text = 100; text > 70; --text) {
    rows.emplace_back(text, 1);
    rows.emplace_back(text, 2);
  }
  const Conflicts found = conflicts_of(rows);
  EXPECT_EQ(found.texts, 30);
  ASSERT_EQ(found.examples.size(), 20U);
  EXPECT_EQ(found.examples.front().first.line, 1);
  EXPECT_EQ(found.examples.back().second.line, 40);
}

TEST(ConflictFinder, FindsNothingInDataThatAgree) {
  EXPECT_EQ(conflicts_of({{1, 1}, {2, 2}, {1, 1}}).texts, 0);
  EXPECT_EQ(conflicts_of({}).texts, 0);
}

}  // namespace
}  // namespace hone
