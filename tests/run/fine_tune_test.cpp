// A whole run as a function.
#include "run/fine_tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/file.h"
#include "data/reader.h"
#include "run/tested.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;

// A configuration with data of the tiny model in a folder of its own.
class FineTune : public testing::Test {
 protected:
  FineTune() {
    testing_support::write_tiny_bert(folder_ / "bert");
    write("train", 42, 1);
    write("dev", 17, 2);
    write("test", 15, 3);
  }

  void write(const std::string& split, int64_t rows, uint64_t seed) const {
    std::string lines;
    for (const Record& record : testing_support::tiny_texts(rows, split, seed))
      lines += record.fields.dump() + "\n";
    write_file(folder_ / (split + ".jsonl"), lines);
  }

  std::vector<Record> read_records(const std::string& split) const {
    SourceOptions source;
    source.path = folder_ / (split + ".jsonl");
    const auto reader = open_reader(source);
    std::vector<Record> records;
    while (auto record = reader->next()) records.push_back(std::move(*record));
    return records;
  }

  RunConfig config(const std::vector<std::string>& overrides = {}) const {
    std::string text = "model: {path: " + folder_ / "bert" + "}\ntask: {name: classify}\ndata:\n";
    for (const auto& [split, file] :
         {std::pair("train", "train"), std::pair("validation", "dev"), std::pair("test", "test")})
      text += std::string("  ") + split + ": {path: " + folder_ / file + ".jsonl}\n";
    text +=
        "train: {num_train_epochs: 3, per_device_train_batch_size: 8, learning_rate: 2e-3, "
        "precision: fp32, device: cpu, threads: 1}\noutput: {dir: " +
        folder_ / "run" + "}\n";
    write_file(folder_ / "config.yaml", text);
    return RunConfig::load(folder_ / "config.yaml", overrides);
  }

  // Changes the validation data once training has begun.
  RunResult run_while(const std::function<void()>& change) const {
    const Listener listener = [&](const Event& event) {
      if (std::holds_alternative<Started>(event)) change();
    };
    return fine_tune(config({"output.overwrite=true"}), {}, {listener});
  }

  testing_support::TemporaryFolder folder_;
};

TEST_F(FineTune, GivesTheModelThatItSavedAndTheReportThatItWrote) {
  const RunResult result = fine_tune(config(), {.command = "this test"});
  ASSERT_TRUE(result.test);
  EXPECT_EQ(result.model, folder_ / "run/model");
  EXPECT_EQ(result.test->report.n, 15);
  EXPECT_EQ(result.test->summary.data.at("validation").used, 17);
  const Json written = read_json(folder_ / "run/report.json", ErrorKind::kData);
  EXPECT_EQ(written["score"], result.test->report.score);
  EXPECT_EQ(written["command"], "this test");
  const std::vector<Record> records = testing_support::tiny_texts(15, folder_ / "test.jsonl", 3);
  const std::vector<Json> results = result.pipeline->predict(records);
  EXPECT_EQ(Pipeline::load(result.model)->predict(records), results);
  EXPECT_EQ(result.pipeline->evaluate(records).report.json(), result.test->report.json());
}

TEST_F(FineTune, GivesAPipelineThatAnswersSeveralThreads) {
  const RunResult result = fine_tune(config());
  const std::vector<Record> records = testing_support::tiny_texts(60, "new", 4);
  const std::vector<Json> alone = result.pipeline->predict(records);
  std::atomic<int> different = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 10; ++turn) different += result.pipeline->predict(records) != alone;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, 0);
}

TEST_F(FineTune, ScoresValidationDataAsTheFileAloneIsScored) {
  std::vector<double> scores, losses;
  const Listener listener = [&](const Event& event) {
    if (const auto* evaluated = std::get_if<Evaluated>(&event)) {
      scores.push_back(evaluated->report.score);
      losses.push_back(evaluated->loss);
    }
  };
  const RunResult result =
      fine_tune(config({"train.load_best_model_at_end=false"}), {}, {listener});
  ASSERT_EQ(scores.size(), 3u);
  const Evaluation alone = result.pipeline->evaluate(testing_support::tiny_texts(17, "dev", 2));
  EXPECT_EQ(scores.back(), alone.report.score);
  EXPECT_EQ(losses.back(), alone.loss);
}

// Rows of two labels, of which the model is told to choose its threshold.
TEST_F(FineTune, ChoosesWhatIsLeftToTheValidationDataBeforeItSavesAndTests) {
  for (const std::string split : {"train", "dev", "test"}) {
    std::string lines;
    for (Record& record : testing_support::tiny_texts(30, split, split.size())) {
      record.fields["label"] = {record.fields["label"], "always"};
      lines += record.fields.dump() + "\n";
    }
    write_file(folder_ / (split + ".jsonl"), lines);
  }
  const RunResult result = fine_tune(config({"task.threshold=auto"}));
  const std::vector<ChosenOption>& chosen = result.test->summary.chosen;
  ASSERT_EQ(chosen.size(), 1u);
  const Json saved = read_json(folder_ / "run/model/hone.json", ErrorKind::kModel);
  EXPECT_EQ(saved["state"]["options"]["threshold"], chosen[0].value);
  EXPECT_EQ(read_json(folder_ / "run/report.json", ErrorKind::kData)["chosen"][0]["option"],
            "threshold");
  EXPECT_THAT(read_file(folder_ / "run/report.txt", ErrorKind::kData),
              HasSubstr("was chosen on the validation data"));
  const std::vector<Record> validation = read_records("dev");
  const auto again = Pipeline::load(result.model);
  EXPECT_NEAR(again->evaluate(validation).report.score, chosen[0].score, 1e-12);
  const auto usual = Pipeline::load(result.model, {"threshold=0.5"});
  EXPECT_NEAR(usual->evaluate(validation).report.score, chosen[0].usual, 1e-12);
}

TEST_F(FineTune, EndsWhereItsDataChangeUnderIt) {
  EXPECT_THAT(error_of([&] { run_while([&] { write("dev", 16, 2); }); }),
              HasSubstr("dev.jsonl: its rows are not those that were first read"));
  EXPECT_THAT(error_of([&] { run_while([&] { write("test", 15, 9); }); }),
              HasSubstr("test.jsonl: its rows are not those that were first read"));
}

TEST_F(FineTune, GoesOnWhereItsDataAreWrittenAnewAsTheyWere) {
  EXPECT_TRUE(run_while([&] {
                write("dev", 17, 2);
                write("test", 15, 3);
              }).test);
}

TEST_F(FineTune, EndsAfterTheStepWhereItIsAskedToStop) {
  std::atomic<bool> stop = false;
  const Listener listener = [&](const Event& event) {
    if (std::holds_alternative<Stepped>(event)) stop = true;
  };
  const RunResult result = fine_tune(config(), {.stop_requested = &stop}, {listener});
  EXPECT_TRUE(result.training.interrupted);
  EXPECT_EQ(result.training.steps, 1);
  EXPECT_EQ(result.model, "");
  EXPECT_FALSE(result.test);
  const RunResult rest = fine_tune(config(), {.resume = true});
  EXPECT_FALSE(rest.training.interrupted);
  EXPECT_TRUE(rest.test);
}

TEST_F(FineTune, TakesDropoutInPlaceOfTheModelsOwnAndKeepsIt) {
  const RunResult plain = fine_tune(config({"output.dir=" + folder_ / "plain"}));
  const RunResult none = fine_tune(
      config({"model.dropout.hidden_dropout_prob=0", "model.dropout.attention_probs_dropout_prob=0",
              "output.dir=" + folder_ / "none"}));
  const auto a = plain.pipeline->network().weights(), b = none.pipeline->network().weights();
  EXPECT_FALSE(a.front().second.equal(b.front().second));
  EXPECT_EQ(none.pipeline->config().raw["hidden_dropout_prob"], 0);
  EXPECT_EQ(read_json(none.model + "/config.json", ErrorKind::kModel)["hidden_dropout_prob"], 0);
}

TEST_F(FineTune, RefusesDropoutThatTheModelDoesNotHave) {
  EXPECT_THAT(error_of([&] { fine_tune(config({"model.dropout.hidden_dropout_probs=0.1"})); }),
              HasSubstr("did you mean \"hidden_dropout_prob\""));
  EXPECT_THAT(error_of([&] { config({"model.dropout.hidden_dropout_prob=1"}); }),
              HasSubstr("less than 1"));
}

}  // namespace
}  // namespace hone
