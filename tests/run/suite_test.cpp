// A list of runs.
#include "run/suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "run/suite_table.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;

class SuiteOfRuns : public testing::Test, public testing_support::RunInFolder {
 protected:
  SuiteOptions options(const std::string& entries, int64_t seeds = 1) const {
    write_file(*this / "list.yaml",
               "defaults:\n  task: {name: classify}\n" + indented() + "entries:\n" + entries);
    SuiteOptions options;
    options.list = *this / "list.yaml";
    options.model = *this / "bert";
    options.data = *this / ".";
    options.out = *this / "out";
    options.seeds = seeds;
    return options;
  }

  SuiteResult run(const SuiteOptions& options) const {
    return run_suite(read_suite(options), options);
  }

  std::string refusal(const std::string& entries) const {
    return error_of([&] { read_suite(options(entries)); });
  }

  Json table() const { return read_json(*this / "out/suite.json", ErrorKind::kData); }

 private:
  std::string indented() const {
    std::string text = "  ", all = sections();
    for (size_t i = 0; i < all.size(); ++i)
      text += all[i] == '\n' && i + 1 < all.size() ? "\n  " : std::string(1, all[i]);
    return text;
  }
};

TEST_F(SuiteOfRuns, GivesWhatEachRunAloneGives) {
  const SuiteResult result = run(options(
      "  - {name: plain}\n  - {name: quick, note: one pass, train: {num_train_epochs: 1}}\n", 2));
  EXPECT_EQ(result.failure(), nullptr);
  const Json entries = table()["entries"];
  ASSERT_EQ(entries.size(), 2u);
  ASSERT_EQ(entries[0]["runs"].size(), 2u);
  EXPECT_EQ(entries[0]["runs"][1]["seed"], 43);
  EXPECT_EQ(entries[1]["note"], "one pass");
  std::vector<double> scores;
  for (const char* seed : {"42", "43"}) {
    RunConfig alone = config("", {"train.seed=" + std::string(seed), "output.dir=" + *this / seed});
    scores.push_back(fine_tune(alone).test->report.score);
  }
  EXPECT_DOUBLE_EQ(entries[0]["score"].get<double>(), (scores[0] + scores[1]) / 2);
  EXPECT_NEAR(entries[0]["deviation"].get<double>(),
              std::abs(scores[0] - scores[1]) / std::sqrt(2.0), 1e-12);
  for (const char* form : {"suite.md", "suite.html"})
    EXPECT_THAT(read_file(*this / "out/" + form, ErrorKind::kData), HasSubstr("quick")) << form;
}

TEST_F(SuiteOfRuns, GoesOnPastAFailureAndLaterTriesItAgain) {
  const std::string entries =
      "  - {name: broken, data: {train: {path: $DATA/late.jsonl}}}\n  - {name: plain}\n";
  const SuiteResult first = run(options(entries));
  ASSERT_NE(first.failure(), nullptr);
  EXPECT_THAT(table()["entries"][0]["error"].get<std::string>(), HasSubstr("late.jsonl"));
  EXPECT_TRUE(table()["entries"][1]["score"].is_number());
  EXPECT_THAT(suite_text(first), HasSubstr("failed: "));
  const auto written = fs::last_write_time(*this / "out/plain/seed-42/report.json");
  write("late", 30, 7);
  EXPECT_EQ(run(options(entries)).failure(), nullptr);
  EXPECT_EQ(fs::last_write_time(*this / "out/plain/seed-42/report.json"), written);
}

TEST_F(SuiteOfRuns, StopsWhereItIsAskedToAndGoesOnThere) {
  std::atomic<bool> stop = true;
  SuiteOptions stopped = options("  - {name: plain}\n");
  stopped.stop_requested = &stop;
  EXPECT_TRUE(run(stopped).interrupted);
  EXPECT_TRUE(table()["entries"][0]["score"].is_null());
  const SuiteResult result = run(options("  - {name: plain}\n"));
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(table()["entries"][0]["score"],
            fine_tune(config("", {"train.seed=42"})).test->report.score);
}

TEST_F(SuiteOfRuns, DoesNotTakeARunOfAnotherConfigurationForItsOwn) {
  run(options("  - {name: plain}\n"));
  const SuiteResult result = run(options("  - {name: plain, train: {num_train_epochs: 1}}\n"));
  ASSERT_NE(result.failure(), nullptr);
  EXPECT_THAT(result.failure()->what(), HasSubstr("a run of another configuration"));
}

TEST_F(SuiteOfRuns, RefusesListsThatCannotBeRun) {
  EXPECT_THAT(refusal("  - {name: a}\n  - {name: a}\n"),
              AllOf(HasSubstr("list.yaml:"), HasSubstr("two entries have the name \"a\"")));
  EXPECT_THAT(refusal("  - {name: a, trian: {}}\n"), HasSubstr("trian"));
  EXPECT_THAT(refusal("  - {task: {name: ner}}\n"), HasSubstr("\"name\" is missing"));
  EXPECT_THAT(refusal("  - {name: a, output: {dir: x}}\n"), HasSubstr("no \"output\""));
  EXPECT_THAT(refusal("  []\n"), HasSubstr("no entry"));
  EXPECT_THAT(refusal("  - {name: a}\nentires: []\n"), HasSubstr("did you mean \"entries\""));
  SuiteOptions without_data = options("  - {name: a, data: {train: {path: $DATA/x.jsonl}}}\n");
  without_data.data = "";
  EXPECT_THAT(error_of([&] { read_suite(without_data); }), HasSubstr("--data"));
  SuiteOptions told_in_a_comment = options("  - {name: a}  # as those below $DATA\n");
  told_in_a_comment.data = "";
  EXPECT_EQ(error_of([&] { read_suite(told_in_a_comment); }), "no error");
  SuiteOptions elsewhere = options("  - {name: a}\n");
  elsewhere.overrides = {"output.dir=x"};
  EXPECT_THAT(error_of([&] { read_suite(elsewhere); }),
              AllOf(HasSubstr("output.dir=x"), HasSubstr("--out FOLDER")));
}

}  // namespace
}  // namespace hone
