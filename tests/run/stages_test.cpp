// Runs before a run.
#include "run/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;

class Stages : public testing::Test, public testing_support::RunInFolder {
 protected:
  static constexpr const char* kTwo =
      "stages:\n"
      "  - {name: domain, task: {name: mlm}, train: {num_train_epochs: 1}}\n"
      "  - {name: transfer, train: {learning_rate: 1e-3}}\n";

  std::string bytes_of(const std::string& name) const {
    return read_file(*this / name, ErrorKind::kModel);
  }
};

TEST_F(Stages, TakeOverWhatTheyDoNotSay) {
  const RunConfig config = this->config(kTwo);
  ASSERT_EQ(config.stages.size(), 2u);
  const RunConfig &domain = config.stages[0], &transfer = config.stages[1];
  EXPECT_EQ(domain.train.num_train_epochs, 1);
  EXPECT_EQ(domain.train.learning_rate, 2e-3);
  EXPECT_EQ(domain.make_task(0)->info().name, std::string("mlm"));
  EXPECT_EQ(domain.data.sources.at("test").path, *this / "test.jsonl");
  EXPECT_EQ(domain.model, *this / "bert");
  EXPECT_EQ(transfer.make_task(0)->info().name, std::string("classify"));
  EXPECT_EQ(transfer.model, *this / "run/stages/domain/model");
  EXPECT_EQ(config.last_model(), *this / "run/stages/transfer/model");
}

TEST_F(Stages, ReadBackWhatTheyResolveTo) {
  const RunConfig config = this->config(kTwo);
  write_file(*this / "resolved.yaml", config.resolved);
  const RunConfig again = RunConfig::load(*this / "resolved.yaml", {});
  EXPECT_EQ(again.resolved, config.resolved);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(again.stages[i].resolved, config.stages[i].resolved);
}

TEST_F(Stages, RefuseWhatIsNotTheirs) {
  const auto message = [&](const std::string& stage) {
    return error_of([&] { config("stages: [" + stage + "]\n"); });
  };
  EXPECT_THAT(message("{name: a, model: {path: x}}"), HasSubstr("a stage has no \"model\""));
  EXPECT_THAT(message("{name: a, peft: {}}"), HasSubstr("a stage has no \"peft\""));
  EXPECT_THAT(message("{name: a}, {name: a}"), HasSubstr("two stages have the name \"a\""));
  EXPECT_THAT(message("{name: a/b}"), HasSubstr("letters, digits"));
  EXPECT_THAT(message("{task: {name: mlm}}"), HasSubstr("\"name\" is missing"));
  EXPECT_THAT(message("{name: a, trian: {}}"), AllOf(HasSubstr("trian"), HasSubstr("train")));
}

TEST_F(Stages, BeginEachWithTheModelOfTheOneBefore) {
  const RunResult result = fine_tune(config(kTwo));
  ASSERT_TRUE(result.test);
  const Json report = read_json(*this / "run/report.json", ErrorKind::kData);
  std::vector<std::string> names;
  for (const Json& stage : report["stages"]) names.push_back(stage["name"]);
  EXPECT_THAT(names, ElementsAre("domain", "transfer", "(this run)"));
  EXPECT_EQ(report["stages"][0]["metric"], "perplexity");
  EXPECT_EQ(report["stages"][0]["score"],
            read_json(*this / "run/stages/domain/report.json", ErrorKind::kData)["score"]);
  EXPECT_EQ(report["stages"][2]["score"], report["score"]);
  EXPECT_THAT(bytes_of("run/report.txt"), HasSubstr("transfer"));

  // The same as three runs by hand.
  RunConfig alone =
      RunConfig::load(*this / "config.yaml", {"stages=[]", "output.dir=" + *this / "alone",
                                              "model.path=" + *this / "run/stages/transfer/model"});
  fine_tune(alone);
  EXPECT_EQ(bytes_of("alone/model/model.safetensors"), bytes_of("run/model/model.safetensors"));
}

TEST_F(Stages, AreNotRunAgain) {
  std::atomic<bool> stop = false;
  const Listener in_second = [&](const Event& event) {
    const auto* started = std::get_if<Started>(&event);
    static int runs = 0;
    if (started != nullptr && ++runs == 2) stop = true;
  };
  const RunResult first = fine_tune(config(kTwo), {.stop_requested = &stop}, {in_second});
  EXPECT_TRUE(first.training.interrupted);
  EXPECT_TRUE(fs::exists(*this / "run/stages/domain/report.json"));
  EXPECT_FALSE(fs::exists(*this / "run/stages/transfer/model"));
  const auto written = fs::last_write_time(*this / "run/stages/domain/model/model.safetensors");
  EXPECT_THAT(error_of([&] { fine_tune(config(kTwo)); }),
              AllOf(HasSubstr("interrupted run"), HasSubstr("--resume")));
  const RunConfig own = RunConfig::load(*this / "run/resolved_config.yaml", {});
  EXPECT_TRUE(fine_tune(own, {.resume = true}).test);
  EXPECT_EQ(fs::last_write_time(*this / "run/stages/domain/model/model.safetensors"), written);

  fs::rename(*this / "run", *this / "stopped");
  fine_tune(config(kTwo));
  EXPECT_EQ(bytes_of("stopped/model/model.safetensors"), bytes_of("run/model/model.safetensors"));
}

TEST_F(Stages, ThatFailEndTheRunWhichGoesOnOnceTheCauseIsMended) {
  const std::string stages =
      "stages: [{name: a, task: {name: mlm}}, {name: b, data: {train: {path: " +
      *this / "late.jsonl" + "}}}]\n";
  EXPECT_THAT(error_of([&] { fine_tune(config(stages)); }), HasSubstr("late.jsonl"));
  EXPECT_FALSE(fs::exists(*this / "run/model"));
  write("late", 20, 5);
  EXPECT_TRUE(fine_tune(config(stages), {.resume = true}).test);
  const Json report = read_json(*this / "run/report.json", ErrorKind::kData);
  EXPECT_TRUE(report["stages"][1]["score"].is_null());  // nothing was there to test on
}

TEST_F(Stages, OfAnotherConfigurationAreRefused) {
  EXPECT_THROW(fine_tune(config("stages: [{name: a, data: {train: {path: gone}}}]\n")), Error);
  std::atomic<bool> stop = true;
  fine_tune(config("stages: [{name: a, train: {num_train_epochs: 1}}]\n"),
            {.resume = true, .stop_requested = &stop});
  EXPECT_THAT(error_of([&] {
                fine_tune(config("stages: [{name: a, train: {num_train_epochs: 3}}]\n"),
                          {.resume = true});
              }),
              HasSubstr("stage \"a\" was begun with another configuration"));
  EXPECT_TRUE(fine_tune(config("stages: [{name: a, train: {num_train_epochs: 3}}]\n",
                               {"output.overwrite=true"}))
                  .test);
}

}  // namespace
}  // namespace hone
