#include "tasks/metrics/confusion.h"

#include <gtest/gtest.h>

namespace hone::metrics {
namespace {

TEST(ConfusionTable, HasARowAndAColumnForEachLabel) {
  const Matrix table = confusion_table({"a", "b"}, {{{0, 1}, 3}, {{1, 1}, 2}});
  EXPECT_EQ(table.labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(table.counts, (std::vector<std::vector<int64_t>>{{0, 3}, {0, 2}}));
}

TEST(ConfusionTable, KeepsTheLabelsThatAreMostlyMistakenWhereThereAreTooMany) {
  const int64_t labels = 30'000;
  std::vector<std::string> names;
  ConfusionCells cells;
  for (int64_t i = 0; i < labels; ++i) {
    names.push_back(std::to_string(i));
    cells[{i, i}] = 1;
  }
  cells[{29'999, 7}] = 5;
  const Matrix table = confusion_table(names, cells);
  ASSERT_EQ(table.labels.size(), kTableLabels);
  EXPECT_EQ(table.labels.back(), kOtherLabels);
  const size_t last = kTableLabels - 1;
  EXPECT_EQ(table.labels[last - 1], "29999");
  EXPECT_EQ(table.counts[last - 1][7], 5);
  EXPECT_EQ(table.counts[last][last], labels - static_cast<int64_t>(last));
}

}  // namespace
}  // namespace hone::metrics
