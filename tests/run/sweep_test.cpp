// Many trials of one configuration.
#include "run/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "run/run_inputs.h"
#include "run/sweep_table.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;

class Sweeps : public testing::Test, public testing_support::RunInFolder {
 protected:
  Sweep sweep(const std::string& section, const std::vector<std::string>& overrides = {}) const {
    write_file(*this / "sweep.yaml", text("sweep: " + section + "\n"));
    return read_sweep(*this / "sweep.yaml", overrides);
  }
  std::string refusal(const std::string& section,
                      const std::vector<std::string>& overrides = {}) const {
    return error_of([&] { sweep(section, overrides); });
  }
  Json table() const { return read_json(*this / "run/sweep.json", ErrorKind::kData); }
};

std::vector<Json> values_of(const Sweep& sweep, size_t key) {
  std::vector<Json> values;
  for (const Trial& trial : sweep.trials) values.push_back(trial.values[key]);
  return values;
}

// ---- what is tried

TEST_F(Sweeps, TryEveryCombinationOfLists) {
  const Sweep grid = sweep("{keys: {train.learning_rate: [1e-3, 2e-3], train.seed: [1, 2, 3]}}");
  ASSERT_EQ(grid.trials.size(), 6U);
  std::set<std::pair<double, int64_t>> seen;
  for (const Trial& trial : grid.trials)
    seen.emplace(trial.config.train.learning_rate, trial.config.train.seed);
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_EQ(grid.trials[1].config.output_dir, *this / "run/trial-002");
}

TEST_F(Sweeps, SetSectionsWordsAndTruthsToo) {
  const Sweep grid = sweep(
      "{keys: {regularise: [{}, {fgm: {epsilon: 0.5}}], train.eval_strategy: [epoch], "
      "train.group_by_length: [yes, no]}}");
  ASSERT_EQ(grid.trials.size(), 4U);
  EXPECT_TRUE(grid.trials[0].config.regularisers.empty());
  EXPECT_EQ(grid.trials[2].config.regularisers.at(0).name, "fgm");
  EXPECT_TRUE(grid.trials[0].config.train.group_by_length);
  EXPECT_FALSE(grid.trials[1].config.train.group_by_length);
}

TEST_F(Sweeps, DrawFromRanges) {
  const Sweep drawn = sweep(
      "{trials: 200, keys: {train.learning_rate: {log_uniform: [1e-5, 1e-3]}, "
      "train.weight_decay: {uniform: [0, 0.1]}, train.per_device_train_batch_size: {int: [4, 7]}, "
      "train.optim: {choice: [adamw_torch, lion]}}}");
  ASSERT_EQ(drawn.trials.size(), 200U);
  double below = 0, decay = 0;
  std::set<int64_t> sizes;
  std::set<std::string> optimizers;
  for (const Trial& trial : drawn.trials) {
    const TrainOptions& train = trial.config.train;
    EXPECT_GE(train.learning_rate, 1e-5);
    EXPECT_LE(train.learning_rate, 1e-3);
    EXPECT_LE(train.weight_decay, 0.1);
    below += train.learning_rate < 1e-4;  // half of the range in the logarithm
    decay += train.weight_decay;
    sizes.insert(train.per_device_train_batch_size);
    optimizers.insert(train.optim);
  }
  EXPECT_NEAR(below / 200, 0.5, 0.12);
  EXPECT_NEAR(decay / 200, 0.05, 0.01);
  EXPECT_EQ(sizes, (std::set<int64_t>{4, 5, 6, 7}));
  EXPECT_EQ(optimizers.size(), 2U);
}

TEST_F(Sweeps, DrawTheSameWhateverElseIsTried) {
  const std::string rate = "train.learning_rate: {log_uniform: [1e-5, 1e-3]}";
  const Sweep few = sweep("{trials: 3, keys: {" + rate + "}}"),
              more =
                  sweep("{trials: 6, keys: {train.weight_decay: {uniform: [0, 1]}, " + rate + "}}"),
              other = sweep("{trials: 3, seed: 7, keys: {" + rate + "}}");
  const std::vector<Json> all = values_of(more, 1);
  EXPECT_EQ(values_of(few, 0), std::vector<Json>(all.begin(), all.begin() + 3));
  EXPECT_NE(values_of(few, 0), values_of(other, 0));
}

TEST_F(Sweeps, TryNothingTwice) {
  EXPECT_EQ(sweep("{trials: 9, keys: {train.seed: {int: [1, 3]}}}").trials.size(), 3U);
}

TEST_F(Sweeps, ThatCannotBeAreRefused) {
  EXPECT_THAT(refusal("{keys: {train.learnin_rate: [1e-3]}}"),
              AllOf(HasSubstr("sweep.yaml:"), HasSubstr("learning_rate")));
  EXPECT_THAT(refusal("{keys: {train.learning_rate: []}}"), HasSubstr("no value to try"));
  EXPECT_THAT(refusal("{keys: {}}"), HasSubstr("names nothing to try"));
  EXPECT_THAT(refusal("{}"), HasSubstr("names nothing to try"));
  EXPECT_THAT(refusal("{kyes: {train.seed: [1]}}"), HasSubstr("did you mean \"keys\""));
  EXPECT_THAT(refusal("{keys: {train.learning_rate: {log_unifrom: [1, 2]}}}"),
              HasSubstr("did you mean \"log_uniform\""));
  EXPECT_THAT(refusal("{keys: {train.learning_rate: {log_uniform: [0, 2]}}}"),
              HasSubstr("begin above 0"));
  EXPECT_THAT(refusal("{keys: {train.learning_rate: {uniform: [2, 1]}}}"), HasSubstr("not below"));
  EXPECT_THAT(refusal("{keys: {train.seed: {int: [1.5, 2]}}}"), HasSubstr("two whole numbers"));
  EXPECT_THAT(refusal("{keys: {train.learning_rate: [1e-3, -1]}}"),
              AllOf(HasSubstr("learning_rate"), HasSubstr("more than 0")));
  EXPECT_THAT(refusal("{keys: {output.dir: [a, b]}}"), HasSubstr("a folder of its own"));
  EXPECT_THAT(refusal("{trials: 3, keys: {train.seed: [1]}}"), HasSubstr("there is none"));
  EXPECT_THAT(refusal("{trials: 0, keys: {train.seed: {int: [1, 9]}}}"), HasSubstr("from 1 to"));
  EXPECT_THAT(refusal("{halving: {factor: 1, epochs: 1}, keys: {train.seed: [1]}}"),
              HasSubstr("more than 1"));
  EXPECT_THAT(refusal("{halving: {epochs: 1, steps: 5}, keys: {train.seed: [1]}}"),
              HasSubstr("compared first"));
  EXPECT_THAT(refusal("{keys: {train.seed: [1]}}", {"train.eval_strategy=no"}),
              HasSubstr("goes by the evaluations"));
  EXPECT_THAT(refusal("{keys: {train.seed: [1]}}", {"seeds=3"}), HasSubstr("a trial is one run"));
  EXPECT_THAT(error_of([&] { config("sweep: {keys: {train.seed: [1]}}\n"); }),
              HasSubstr("hone sweep"));
}

// ---- running it

TEST_F(Sweeps, GiveWhatEachRunAloneGives) {
  const Sweep rates = sweep("{keys: {train.learning_rate: [1e-5, 4e-3]}}");
  const SweepResult result = run_sweep(rates, {});
  ASSERT_TRUE(result.best);
  const RunConfig best = RunConfig::load(*this / "run/best.yaml", {});
  EXPECT_EQ(best.train.learning_rate, rates.trials[*result.best].config.train.learning_rate);
  const RunResult alone = fine_tune(best);
  EXPECT_EQ(alone.training.best_score, result.report.score);
  EXPECT_EQ(alone.test->report.score, result.report.value("test_accuracy"));
  EXPECT_EQ(table()["trials"].size(), 2U);
  EXPECT_EQ(fs::exists(*this / "run/trial-001/model"), *result.best == 0);
  EXPECT_FALSE(fs::exists(*this / "run/trial-002/checkpoints"));
}

TEST_F(Sweeps, HalveTheTrialsAtEachRungAndGoOnWithTheBetterOnes) {
  const Sweep rates = sweep(
      "{halving: {factor: 2, epochs: 1}, keys: {train.learning_rate: [1e-7, 2e-7, 3e-3, 5e-3]}}",
      {"train.num_train_epochs=4"});
  const SweepResult result = run_sweep(rates, {});
  ASSERT_TRUE(result.best);
  int64_t ended = 0, out = 0;
  for (const TrialOutcome& trial : result.trials) {
    ended += trial.ended;
    out += trial.out_at > 0;
  }
  EXPECT_EQ(out, 3);  // two after the first epoch, one after the second
  EXPECT_EQ(ended, 1);
  // A trial that was paused twice is the run that was never paused.
  const RunResult alone = fine_tune(RunConfig::load(*this / "run/best.yaml", {}));
  EXPECT_EQ(alone.training.best_score, result.report.score);
  EXPECT_EQ(alone.test->report.score, result.report.value("test_accuracy"));
}

TEST_F(Sweeps, GoOnPastATrialThatDivergesOrFails) {
  const Sweep rates =
      sweep("{halving: {factor: 2, epochs: 1}, keys: {train.learning_rate: [1e30, 2e-3, 3e-3]}}");
  const SweepResult result = run_sweep(rates, {});
  ASSERT_TRUE(result.trials[0].failure);
  EXPECT_EQ(result.failure(), nullptr);  // of the sweep: some trial ended
  ASSERT_TRUE(result.best);
  EXPECT_NE(*result.best, 0U);
  EXPECT_THAT(result.report.found.at(0).text, HasSubstr("1 of 3 trials failed"));
  EXPECT_THAT(table()["trials"].back()["fate"].get<std::string>(), HasSubstr("failed: "));
}

TEST_F(Sweeps, InWhichAllFailSayWhy) {
  const SweepResult result = run_sweep(sweep("{keys: {train.learning_rate: [1e30, 2e30]}}"), {});
  ASSERT_NE(result.failure(), nullptr);
  EXPECT_FALSE(result.best);
  EXPECT_FALSE(fs::exists(*this / "run/best.yaml"));
}

TEST_F(Sweeps, ThatAreStoppedGoOnToTheSameEnd) {
  const std::string section =
      "{halving: {factor: 2, epochs: 1}, keys: {train.learning_rate: [1e-5, 2e-3, 5e-3]}}";
  run_sweep(sweep(section), {});
  const Json whole = table();
  fs::remove_all(*this / "run");
  int64_t calls = 0;
  for (bool interrupted = true; interrupted && calls < 50; ++calls) {
    std::atomic<bool> stop = false;
    int64_t steps = 0;  // each call makes so many, which fall within trials and between them
    const SweepResult part =
        run_sweep(sweep(section), {.stop_requested = &stop}, {[&](const Event& event) {
                    if (std::holds_alternative<Stepped>(event) && ++steps == 4) stop = true;
                  }});
    interrupted = part.interrupted;
  }
  EXPECT_GT(calls, 3);
  const Json parts = table();
  EXPECT_EQ(parts["score"], whole["score"]);
  EXPECT_EQ(parts["values"], whole["values"]);
  for (size_t i = 0; i < 3; ++i) {
    for (const char* key : {"trial", "score", "step", "fate"})
      EXPECT_EQ(parts["trials"][i][key], whole["trials"][i][key]) << key;
  }
}

TEST_F(Sweeps, ThatHaveEndedTrainNothingAgain) {
  const std::string section =
      "{halving: {factor: 2, epochs: 1}, keys: {train.learning_rate: [1e-5, 2e-3]}}";
  run_sweep(sweep(section), {});
  const Json before = table();
  int64_t steps = 0;
  run_sweep(sweep(section), {},
            {[&](const Event& event) { steps += std::holds_alternative<Stepped>(event); }});
  EXPECT_EQ(steps, 0);
  EXPECT_EQ(table()["trials"], before["trials"]);
}

TEST_F(Sweeps, OfOtherValuesAreNotMixedWithEarlierOnes) {
  run_sweep(sweep("{keys: {train.seed: [1]}}"), {});
  const Sweep other = sweep("{keys: {train.seed: [2]}}");
  EXPECT_THAT(error_of([&] { run_sweep(other, {}); }), HasSubstr("another sweep"));
  Sweep anew = sweep("{keys: {train.seed: [2]}}");
  anew.overwrite = true;
  EXPECT_TRUE(run_sweep(anew, {}).best);
}

TEST_F(Sweeps, KeepEvaluationsThatAreNoNumber) {
  fs::create_directories(*this / "run");
  SweepState state(*this / "run", "one", 2);
  state.add(0, {4, 1, std::nan("")}, "accuracy", true);
  state.add(0, {8, 2, 0.5}, "accuracy", true);
  state.add(1, {4, 1, std::nan("")}, "accuracy", true);
  SweepState again(*this / "run", "one", 2);
  again.load();
  ASSERT_EQ(again.points(0).size(), 2U);
  EXPECT_TRUE(std::isnan(again.points(0)[0].score));
  EXPECT_FALSE(again.best(0, 1).has_value());
  EXPECT_EQ(again.best(0, 2)->step, 8);
  EXPECT_FALSE(again.best(1, 2).has_value());
  again.add(1, {8, 2, 0.25}, "accuracy", true);  // it goes on
  EXPECT_EQ(again.best(1, 2)->score, 0.25);
}

TEST_F(Sweeps, DoNotTrustADamagedState) {
  const Sweep one = sweep("{keys: {train.seed: [1]}}");
  run_sweep(one, {});
  std::string state = read_file(*this / "run/sweep.state", ErrorKind::kData);
  char& step = state[state.find("points") + 11];  // of the first evaluation: "points":[[[6,
  step = step == '9' ? '8' : '9';
  write_file(*this / "run/sweep.state", state);
  EXPECT_THAT(error_of([&] { run_sweep(one, {}); }),
              AllOf(HasSubstr("sweep.state"), HasSubstr("is damaged")));
}

TEST_F(Sweeps, ReadWhatTrialsHaveInCommonOnce) {
  const Sweep trials =
      sweep("{keys: {train.learning_rate: [1e-3, 2e-3], train.max_seq_length: [8, 16]}}");
  SharedInputs shared;
  for (const Trial& trial : trials.trials) fs::create_directories(trial.config.output_dir);
  const auto first = shared.of(trials.trials[0].config, {}),
             longer = shared.of(trials.trials[1].config, {}),
             again = shared.of(trials.trials[2].config, {});
  EXPECT_NE(first, longer);
  EXPECT_EQ(first, again);
  shared.forget(first);
  EXPECT_NE(shared.of(trials.trials[0].config, {}), first);
  EXPECT_EQ(shared.of(trials.trials[3].config, {}), longer);
}

TEST_F(Sweeps, ShowTheirTrialsAsLinesOverParallelAxes) {
  const SweepResult result = run_sweep(
      sweep("{keys: {train.learning_rate: [1e-3, 2e-3], train.optim: [adamw_torch, lion]}}"), {});
  const auto& picture = std::get<ParallelLines>(result.report.sections.at(1).content);
  ASSERT_EQ(picture.axes.size(), 3U);
  EXPECT_EQ(picture.axes[1].words, (std::vector<std::string>{"adamw_torch", "lion"}));
  ASSERT_EQ(picture.lines.size(), 4U);
  EXPECT_TRUE(picture.lines.back().is_best);
  EXPECT_EQ(picture.lines.back().values[2], result.report.score);
  const std::string page = read_file(*this / "run/sweep.html", ErrorKind::kData);
  EXPECT_THAT(page, AllOf(HasSubstr("<svg"), HasSubstr("train.learning_rate"),
                          HasSubstr("trial-004"), testing::Not(HasSubstr("http"))));
}

}  // namespace
}  // namespace hone
