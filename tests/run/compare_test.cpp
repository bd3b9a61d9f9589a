// Two runs on the same test rows.
#include "run/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;

class TwoRuns : public testing::Test, public RunInFolder {
 protected:
  RunResult train(const std::string& name, std::vector<std::string> overrides = {}) const {
    overrides.push_back("output.dir=" + *this / name);
    return fine_tune(config("", overrides));
  }
  std::string refusal(const std::string& run, const std::string& other) const {
    return error_of([&] { compare_runs(*this / run, *this / other); });
  }
};

TEST_F(TwoRuns, DifferAsTheirReportsDo) {
  const RunResult a = train("a", {"train.num_train_epochs=30"}), b = train("b");
  const Report report = compare_runs(*this / "a", *this / "b");
  const double here = a.test->report.value("accuracy"), there = b.test->report.value("accuracy");
  ASSERT_NE(here, there);
  EXPECT_DOUBLE_EQ(report.value("accuracy"), here);
  const Json json = report.json();
  for (const Json& row : json["against"]) {
    if (row["metric"] == "accuracy") EXPECT_DOUBLE_EQ(row["difference"], here - there);
  }
  const Json& right = json["right"];
  int64_t rows = 0;
  for (const Json& row : right) rows += row["rows"].get<int64_t>();
  EXPECT_EQ(rows, 15);
  EXPECT_NEAR(right[0]["rows"].get<double>() + right[1]["rows"].get<double>(), 15 * here, 1e-9);
  EXPECT_NEAR(right[0]["rows"].get<double>() + right[2]["rows"].get<double>(), 15 * there, 1e-9);
  EXPECT_EQ(json["lost"].size(), right[1]["rows"]);
  EXPECT_EQ(json["won"].size(), right[2]["rows"]);
}

TEST_F(TwoRuns, ThatAreOneDoNotDiffer) {
  train("a");
  const Json json = compare_runs(*this / "a", *this / "a").json();
  for (const Json& row : json["against"]) {
    EXPECT_EQ(row["difference"], 0);
    EXPECT_EQ(row["p"], 1);
  }
  EXPECT_EQ(json["right"][1]["rows"], 0);
  EXPECT_EQ(json["right"][2]["rows"], 0);
}

TEST_F(TwoRuns, OnOtherRowsAreRefused) {
  train("a");
  train("b", {"data.test.path=" + *this / "dev.jsonl"});
  EXPECT_THAT(refusal("a", "b"), HasSubstr("was not tested on"));
}

TEST_F(TwoRuns, WhoseTestFileHasChangedAreRefused) {
  train("a");
  write("test", 10, 3);
  EXPECT_THAT(refusal("a", "a"), AllOf(HasSubstr("has 10 of the 15 rows"), HasSubstr("changed")));
}

TEST_F(TwoRuns, ThatHaveNotEndedAreRefused) {
  train("a");
  EXPECT_THAT(refusal("a", "bert"), HasSubstr("holds no run that has ended"));
}

}  // namespace
}  // namespace hone
