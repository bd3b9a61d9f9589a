// A saved model: what hone.json keeps, and what finds it changed. And answers, from any number of
// threads.
#include "tasks/pipeline.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

class SavedModel : public testing::Test {
 protected:
  SavedModel() {
    testing_support::write_tiny_bert(folder_ / "bert");
    Config options = Config::parse("{}", "task");
    const std::shared_ptr<Task> task = task_named("classify").make(options, 0);
    for (const Record& record : testing_support::tiny_texts(21, "train.jsonl")) task->learn(record);
    task->finish_learning();
    CleanOptions clean;
    clean.trim = false;
    clean.duplicates = "drop";
    Pipeline::create(folder_ / "bert", Tokenizer::load(folder_ / "bert"), task, 1, clean)
        ->save(folder_ / "model");
    manifest_ = read_file(path(), ErrorKind::kModel);
  }

  std::string path() const { return folder_ / "model/hone.json"; }
  std::unique_ptr<Pipeline> load(const std::vector<std::string>& options = {}) const {
    return Pipeline::load(folder_ / "model", options);
  }
  // The manifest without one of its keys.
  void write_without(const std::vector<std::string>& keys) const {
    Json json = Json::parse(manifest_);
    for (const std::string& key : keys) json.erase(key);
    write_file(path(), json.dump(1));
  }

  TemporaryFolder folder_;
  std::string manifest_;
};

TEST_F(SavedModel, KeepsHowTextsAreCleaned) {
  EXPECT_FALSE(load()->clean().trim);
  EXPECT_EQ(load()->clean().duplicates, "drop");
  EXPECT_TRUE(load()->clean().remove_control);
}

TEST_F(SavedModel, IsRefusedWithAnyBitOfItsManifestTurned) {
  ASSERT_NO_THROW(load());
  int64_t found = 0;
  for (size_t bit = 0; bit < manifest_.size() * 8; bit += 7) {
    std::string damaged = manifest_;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    write_file(path(), damaged);
    const std::string message = error_of([&] { load(); });
    EXPECT_THAT(message, HasSubstr("hone.json")) << "bit " << bit;
    found += message != "no error";
  }
  EXPECT_GE(found, 200);
}

TEST_F(SavedModel, SaysHowAManifestThatWasChangedOnPurposeIsTaken) {
  std::string changed = manifest_;
  changed.replace(changed.find("\"threshold\": 0.5"), 16, "\"threshold\": 0.4");
  write_file(path(), changed);
  EXPECT_THAT(error_of([&] { load(); }), HasSubstr("remove its line \"sha256\""));
  manifest_ = changed;
  write_without({"sha256"});
  EXPECT_NO_THROW(load());
}

TEST_F(SavedModel, OfAnOlderVersionLoadsWithTheUsualCleaning) {
  write_without({"sha256", "data"});
  EXPECT_TRUE(load()->clean().trim);
  EXPECT_EQ(load()->clean().duplicates, "keep");
}

TEST_F(SavedModel, TakesOptionsOfItsTaskInPlaceOfTheSavedOnes) {
  EXPECT_EQ(load({"unknown_labels=count"})->task().state()["options"]["unknown_labels"], "count");
  EXPECT_EQ(load()->task().state()["options"]["unknown_labels"], "error");
  EXPECT_EQ(load({"threshold=0.3"})->task().state()["options"]["threshold"], 0.3);
  EXPECT_THAT(error_of([&] { load({"treshold=0.3"}); }), HasSubstr("did you mean \"threshold\""));
  EXPECT_THAT(error_of([&] { load({"threshold=3"}); }), HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of([&] { load({"labels=[a, b]"}); }), HasSubstr("\"labels\""));
}

TEST_F(SavedModel, AnswersTheNeighboursOfARecordThatCannotBeRead) {
  const auto file = std::make_shared<const std::string>("in.jsonl");
  const std::vector<Record> records = {{{{"text", "word1"}}, file, 1},
                                       {{{"text", nullptr}}, file, 2},
                                       {{{"text", "word2"}}, file, 3}};
  const auto pipeline = load();
  std::vector<int64_t> failed;
  PredictOptions options;
  options.failed = [&](int64_t record, const Error& error) {
    failed.push_back(record);
    EXPECT_THAT(error.what(), HasSubstr("in.jsonl:2"));
  };
  const std::vector<Json> results = pipeline->predict(records, options);
  EXPECT_EQ(failed, std::vector<int64_t>{1});
  EXPECT_TRUE(results[1].is_null());
  EXPECT_EQ(results[0], pipeline->predict({records[0]})[0]);
  EXPECT_EQ(results[2], pipeline->predict({records[2]})[0]);
  EXPECT_THAT(error_of([&] { pipeline->predict(records); }), HasSubstr("in.jsonl:2"));
}

TEST_F(SavedModel, AnswersInThreePartsAsPredictDoes) {
  const auto pipeline = load();
  for (const Record& record : testing_support::tiny_texts(5, "in.jsonl", 8)) {
    const EncodeOutcome encoded = pipeline->encode(record);
    ASSERT_FALSE(encoded.failure);
    EXPECT_EQ(pipeline->decode(record, pipeline->run(encoded.samples)),
              pipeline->predict({record})[0]);
  }
  const Record broken{{{"text", 3}}, std::make_shared<const std::string>("in.jsonl"), 7};
  const EncodeOutcome outcome = pipeline->encode(broken);
  ASSERT_TRUE(outcome.failure);
  EXPECT_THAT(outcome.failure->what(), HasSubstr("in.jsonl:7"));
  EXPECT_TRUE(outcome.samples.empty());
}

bool same_bits(const std::vector<Row>& a, const std::vector<Row>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Row& x, const Row& y) { return at::equal(x.output, y.output); });
}

TEST_F(SavedModel, AnswersFourThreadsAtOnceAsItAnswersOne) {
  const std::vector<Record> records = testing_support::tiny_texts(40, "in.jsonl", 8);
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    const auto pipeline = load();
    pipeline->network().set_precision(precision);
    std::vector<Sample> samples;
    for (const Record& record : records) samples.push_back(pipeline->encode(record).samples[0]);
    const std::vector<Row> rows = pipeline->run(samples, 64);
    const std::vector<Json> results = pipeline->predict(records);
    const double loss = pipeline->evaluate(records).loss;
    std::atomic<int> different = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int turn = 0; turn < 10; ++turn) {
          different += !same_bits(pipeline->run(samples, 64), rows);
          different += pipeline->predict(records) != results;
          different += pipeline->evaluate(records).loss != loss;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(different, 0) << "precision " << static_cast<int>(precision);
  }
}

TEST_F(SavedModel, GivesNoAnswerWhileItIsBeingTrained) {
  const auto pipeline = load();
  const std::vector<Record> records = testing_support::tiny_texts(2, "in.jsonl");
  pipeline->network().train();
  EXPECT_THAT(error_of([&] { pipeline->predict(records); }), HasSubstr("being trained"));
  pipeline->network().eval();
  EXPECT_NO_THROW(pipeline->predict(records));
}

// ---- what becomes of a checkpoint's own head

class OwnHead : public SavedModel {
 protected:
  // The head's weight after a new pipeline of these labels, and what was told, of a checkpoint
  // whose config.json has `changes`.
  at::Tensor begin(const std::vector<std::string>& labels, const Json& changes = Json::object()) {
    const std::string path = folder_ / "model/config.json";
    Json config = Json::parse(read_file(path, ErrorKind::kModel));
    config.update(changes);
    write_file(path, config.dump(1));
    std::filesystem::remove(folder_ / "model/hone.json");
    const std::shared_ptr<Task> task = task_of(labels);
    testing::internal::CaptureStderr();
    const auto pipeline =
        Pipeline::create(folder_ / "model", Tokenizer::load(folder_ / "model"), task, 77);
    told_ = testing::internal::GetCapturedStderr();
    return weight(*pipeline);
  }
  static std::shared_ptr<Task> task_of(const std::vector<std::string>& labels) {
    Config options = Config::parse(Json{{"labels", labels}}.dump(), "task");
    std::shared_ptr<Task> task = task_named("classify").make(options, 0);
    for (const std::string& label : labels)
      task->learn({{{"text", "word1"}, {"label", label}}, nullptr, 1});
    task->finish_learning();
    return task;
  }
  static at::Tensor weight(Pipeline& pipeline) {
    for (const auto& [name, value] : pipeline.network().weights()) {
      if (name == "classifier.weight") return value.detach();
    }
    return {};
  }

  std::string told_;
};

TEST_F(OwnHead, GoesOnWhereTaskAndLabelsAreTheSame) {
  const at::Tensor before = weight(*load());
  EXPECT_TRUE(at::equal(begin({"a", "b", "c"}), before));
  EXPECT_THAT(told_, HasSubstr("the checkpoint's own head (classifier.weight, classifier.bias) "
                               "goes on"));
  EXPECT_TRUE(at::equal(begin({"a", "b", "c"}, {{"problem_type", nullptr}}), before));
}

TEST_F(OwnHead, IsReplacedWhereLabelsTheirOrderOrTheProblemDiffer) {
  const at::Tensor before = weight(*load());
  for (const std::vector<std::string>& labels :
       {std::vector<std::string>{"a", "c", "b"}, std::vector<std::string>{"a", "b", "d"}}) {
    EXPECT_FALSE(at::equal(begin(labels), before)) << labels.back();
    EXPECT_THAT(told_, HasSubstr("(classifier.weight, classifier.bias) was trained for another "
                                 "task or other labels; a fresh one takes its place"));
  }
  EXPECT_FALSE(
      at::equal(begin({"a", "b", "c"}, {{"problem_type", "multi_label_classification"}}), before));
  EXPECT_THAT(told_, HasSubstr("a fresh one takes its place"));
}

TEST_F(OwnHead, IsToldToStartFreshWhereTheCheckpointHasNone) {
  const std::shared_ptr<Task> task = task_of({"a", "b"});
  testing::internal::CaptureStderr();
  Pipeline::create(folder_ / "bert", Tokenizer::load(folder_ / "bert"), task, 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("no head for this task; a fresh one (classifier.weight, classifier.bias) "
                        "starts from random values"));
}

}  // namespace
}  // namespace hone
