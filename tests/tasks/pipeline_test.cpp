// A saved model: what hone.json keeps, and what finds it changed.
#include "tasks/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace hone
