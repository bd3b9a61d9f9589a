// One configuration with several seeds and folds.
#include "run/repeats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;

class Repeats : public testing::Test, public RunInFolder {
 protected:
  // Of one file that folds divide.
  RunConfig folded(const std::string& more) const {
    write_file(*this / "folds.yaml",
               "model: {path: " + *this / "bert" + "}\ntask: {name: classify}\ndata: {path: " +
                   *this / "train.jsonl" + ", split: {validation: 0.2}}\n" +
                   "train: {num_train_epochs: 1, per_device_train_batch_size: 8, learning_rate: "
                   "2e-3, precision: fp32, device: cpu, threads: 1}\noutput: {dir: " +
                   *this / "run" + "}\n" + more);
    return RunConfig::load(*this / "folds.yaml", {});
  }
  Json table() const { return read_json(*this / "run/runs.json", ErrorKind::kData); }
};

TEST_F(Repeats, GiveWhatEachRunAloneGives) {
  const RepeatsResult result = run_repeats(config("seeds: 3\n"), {});
  EXPECT_EQ(result.failure(), nullptr);
  const Json runs = table()["runs"];
  ASSERT_EQ(runs.size(), 3U);
  const RunResult alone = fine_tune(config("", {"train.seed=43", "output.dir=" + *this / "alone"}));
  EXPECT_EQ(runs[1]["seed"], 43);
  EXPECT_EQ(runs[1]["score"], alone.test->report.json()["score"]);
}

TEST_F(Repeats, HaveMeanDeviationAndSpread) {
  std::vector<OneRun> runs(3);
  const RunConfig asked = config("seeds: 3\n");
  for (size_t i = 0; i < 3; ++i) {
    runs[i].seed = static_cast<int64_t>(42 + i);
    runs[i].folder = "seed";
    runs[i].report = {
        {"metric", "accuracy"},
        {"score", 0.5 + 0.1 * static_cast<double>(i * i)},
        {"n", 10},
        {"metrics", {{"accuracy", 0.5 + 0.1 * static_cast<double>(i * i)}, {"ece", 0.1}}},
        {"less_is_better", Json::array({"ece"})},
        {"intervals", {{"accuracy", {0.1, 0.9}}}}};
  }
  const Report report = repeats_report(asked, runs);  // 0.5, 0.6, 0.9
  EXPECT_EQ(report.n, 10);
  EXPECT_NEAR(report.score, 2.0 / 3, 1e-12);
  EXPECT_TRUE(report.named("accuracy").greater_is_better);
  EXPECT_FALSE(report.named("ece").greater_is_better);
  const auto& row = std::get<PlainTable>(report.sections[0].content).rows.at(0);
  EXPECT_NEAR(row[2].get<double>(), std::sqrt((1.0 / 36 + 1.0 / 225 + 49.0 / 900) / 2), 1e-12);
  EXPECT_EQ(row[3], 0.5);
  EXPECT_EQ(row[4], 0.9);
}

TEST_F(Repeats, TestEveryRowOnceOverTheFolds) {
  const RepeatsResult result = run_repeats(folded("folds: 3\nseeds: 2\n"), {});
  ASSERT_EQ(result.failure(), nullptr) << result.failure()->what();
  ASSERT_EQ(result.runs.size(), 6U);
  EXPECT_EQ(result.report.n, 42);
  std::set<std::pair<int64_t, int64_t>> tested;  // seed, line
  for (const OneRun& run : result.runs) {
    const std::string lines = read_file(run.folder + "/predictions.jsonl", ErrorKind::kData);
    for (size_t at = 0; at < lines.size();) {
      const size_t end = lines.find('\n', at);
      tested.emplace(run.seed, Json::parse(lines.substr(at, end - at))["line"].get<int64_t>());
      at = end + 1;
    }
  }
  EXPECT_EQ(tested.size(), 84U);
  EXPECT_TRUE(fs::exists(*this / "run/fold-3-seed-43/model/hone.json"));
}

TEST_F(Repeats, ThatAreDoneAreNotRunAgain) {
  run_repeats(config("seeds: 2\n"), {});
  const auto written = fs::last_write_time(*this / "run/seed-42/report.json");
  EXPECT_THAT(error_of([&] { run_repeats(config("seeds: 2\n"), {}); }), HasSubstr("--resume"));
  const RepeatsResult more = run_repeats(config("seeds: 3\n"), {.resume = true});
  EXPECT_EQ(more.runs.size(), 3U);
  EXPECT_EQ(more.failure(), nullptr);
  EXPECT_EQ(fs::last_write_time(*this / "run/seed-42/report.json"), written);
}

TEST_F(Repeats, ThatFailDoNotEndTheRest) {
  fs::create_directories(*this / "run/seed-42");
  write_file(*this / "run/seed-42/resolved_config.yaml", "another: run\n");
  const RepeatsResult result = run_repeats(config("seeds: 2\n"), {.resume = true});
  ASSERT_NE(result.failure(), nullptr);
  EXPECT_FALSE(result.runs[1].report.is_null());
  EXPECT_THAT(result.report.found.at(0).text, HasSubstr("1 of 2 runs gave no report"));
}

TEST_F(Repeats, AreReplacedWhenThatIsAsked) {
  run_repeats(config("seeds: 2\n"), {});
  RunConfig again = config("seeds: 2\n", {"train.num_train_epochs=1"});
  again.overwrite = true;
  EXPECT_EQ(run_repeats(again, {}).failure(), nullptr);
}

TEST_F(Repeats, ThatCannotBeAreRefused) {
  EXPECT_THAT(error_of([&] { config("folds: 3\n"); }), HasSubstr("folds are parts of one file"));
  EXPECT_THAT(error_of([&] { folded("folds: 1\n"); }), HasSubstr("2 or more"));
  EXPECT_THAT(error_of([&] { folded("folds: -1\n"); }), HasSubstr("from 0 to"));
  EXPECT_THAT(error_of([&] { config("seeds: 0\n"); }), HasSubstr("from 1 to"));
  EXPECT_THAT(error_of([&] { config("seeds: two\n"); }), HasSubstr("a whole number"));
  EXPECT_THAT(error_of([&] { config("seeds: 2\nnonsense: 1\n"); }), HasSubstr("nonsense"));
  EXPECT_THAT(error_of([&] { fine_tune(config("seeds: 2\n")); }), HasSubstr("room for one"));
}

TEST_F(Repeats, OfOneSeedAreOneRunInAFolderOfItsOwn) {
  EXPECT_EQ(config("seeds: 1\n").repeats.size(), 1U);
}

}  // namespace
}  // namespace hone
