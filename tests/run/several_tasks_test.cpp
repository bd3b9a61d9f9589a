// Whole runs of several tasks on one encoder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "base/file.h"
#include "run/fine_tune.h"
#include "run/merge.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Key;
using testing_support::error_of;

class SeveralTasks : public testing::Test {
 protected:
  SeveralTasks() {
    testing_support::write_tiny_bert(folder_ / "bert");
    for (const auto& [split, rows, seed] :
         {std::tuple("train", 24, 1), std::tuple("dev", 9, 2), std::tuple("test", 11, 3)}) {
      write(std::string("topic-") + split, testing_support::tiny_texts(rows, split, seed));
      write(std::string("names-") + split, testing_support::tiny_sentences(rows, split, seed));
    }
  }

  std::string path(const std::string& name) const { return folder_ / (name + ".jsonl"); }

  void write(const std::string& name, const std::vector<Record>& records) const {
    std::string lines;
    for (const Record& record : records) lines += record.fields.dump() + "\n";
    write_file(path(name), lines);
  }

  std::string data_of(const std::string& task) const {
    return "data: {train: {path: " + path(task + "-train") +
           "}, validation: {path: " + path(task + "-dev") +
           "}, test: {path: " + path(task + "-test") + "}}";
  }

  std::string both() const {
    return "tasks:\n  topic: {task: {name: classify}, " + data_of("topic") +
           "}\n  names: {task: {name: ner}, weight: 0.5, " + data_of("names") + "}\n";
  }

  RunConfig config(const std::string& sections,
                   const std::vector<std::string>& overrides = {}) const {
    write_file(folder_ / "config.yaml",
               "model: {path: " + folder_ / "bert" + "}\n" + sections +
                   "train: {num_train_epochs: 2, per_device_train_batch_size: 8, learning_rate: "
                   "2e-3, precision: fp32, device: cpu, threads: 1}\noutput: {dir: " +
                   folder_ / "run" + "}\n");
    return RunConfig::load(folder_ / "config.yaml", overrides);
  }
  std::string complaint(const std::string& sections,
                        const std::vector<std::string>& overrides = {}) const {
    return error_of([&] { fine_tune(config(sections, overrides)); });
  }

  testing_support::TemporaryFolder folder_;
};

TEST_F(SeveralTasks, TrainTestAndAnswerTogether) {
  const RunResult result = fine_tune(config(both()));
  ASSERT_TRUE(result.test);
  const Report& report = result.test->report;
  EXPECT_EQ(report.n, 22);
  EXPECT_EQ(report.metric, "mean");
  EXPECT_NEAR(report.score, (report.value("topic.accuracy") + report.value("names.f1")) / 2, 1e-9);
  EXPECT_THAT(result.test->summary.data,
              AllOf(Contains(Key("topic.train")), Contains(Key("names.test"))));
  std::map<std::string, int> predicted;
  std::stringstream lines(read_file(folder_ / "run/predictions.jsonl", ErrorKind::kData));
  for (std::string line; std::getline(lines, line);)
    ++predicted[Json::parse(line).at("task").get<std::string>()];
  EXPECT_EQ(predicted, (std::map<std::string, int>{{"names", 11}, {"topic", 11}}));
  const std::string page = read_file(folder_ / "run/report.html", ErrorKind::kData);
  EXPECT_THAT(page, AllOf(HasSubstr("topic.accuracy"), HasSubstr("names.f1")));
}

// The same rows in one file, each naming its task.
TEST_F(SeveralTasks, ReadRowsThatNameTheirTask) {
  for (const std::string split : {"train", "dev", "test"}) {
    std::vector<Record> all;
    for (const std::string task : {"topic", "names"}) {
      std::stringstream lines(read_file(path(task + "-" + split), ErrorKind::kData));
      for (std::string line; std::getline(lines, line);) {
        all.push_back({Json::parse(line), nullptr});
        all.back().fields["task"] = task;
      }
    }
    write("mixed-" + split, all);
  }
  const Report own = fine_tune(config(both())).test->report,
               mixed = fine_tune(config("tasks:\n  topic: {task: {name: classify}}\n  names: "
                                        "{task: {name: ner}, weight: 0.5}\n" +
                                            data_of("mixed") + "\n",
                                        {"output.dir=" + folder_ / "mixed"}))
                           .test->report;
  EXPECT_EQ(own.json()["metrics"], mixed.json()["metrics"]);
  EXPECT_EQ(own.n, mixed.n);
}

TEST_F(SeveralTasks, ChooseTheBestByOneTaskWhereThatIsAskedFor) {
  const RunResult result = fine_tune(config(both(), {"train.metric_for_best_model=names.f1"}));
  EXPECT_GE(result.training.best_score, 0);
  EXPECT_THAT(complaint(both(), {"train.metric_for_best_model=names.f2", "output.overwrite=true"}),
              AllOf(HasSubstr("unknown metric"), HasSubstr("names.f1")));
}

TEST_F(SeveralTasks, GoOnWithoutTheValidationDataOfOne) {
  const RunResult result = fine_tune(config(
      "tasks:\n  topic: {task: {name: classify}, " + data_of("topic") +
      "}\n  names: {task: {name: ner}, data: {train: {path: " + path("names-train") + "}}}\n"));
  ASSERT_TRUE(result.test);
  EXPECT_EQ(result.test->report.n, 11);
  EXPECT_THAT(result.test->report.found,
              Contains(Field(&Finding::text, HasSubstr("no row is of task names"))));
}

TEST_F(SeveralTasks, RefuseWhatDoesNotFit) {
  const std::string topic = "topic: {task: {name: classify}, " + data_of("topic") + "}",
                    names = "names: {task: {name: ner}, " + data_of("names") + "}",
                    bare = "names: {task: {name: ner}}";
  const auto two = [](const std::string& a, const std::string& b) {
    return "tasks: {" + a + ", " + b + "}\n";
  };
  EXPECT_THAT(complaint(two(topic, topic)), HasSubstr("stands twice"));
  EXPECT_THAT(complaint("tasks: {" + topic + "}\n"), HasSubstr("one task here"));
  EXPECT_THAT(complaint("tasks: [" + std::string("{task: {name: ner}}") + "]\n"),
              HasSubstr("must be a mapping"));
  EXPECT_THAT(complaint(two(topic, names) + "task: {name: ner}\n"), HasSubstr("one of them"));
  EXPECT_THAT(complaint("task: {name: several}\n" + data_of("topic") + "\n"),
              HasSubstr("section \"tasks\""));
  EXPECT_THAT(complaint(two(topic, bare)), HasSubstr("task names has no \"data\""));
  EXPECT_THAT(complaint(two(topic, names) + data_of("topic") + "\n"),
              HasSubstr("stands beside the data of task topic"));
  EXPECT_THAT(complaint(both(), {"tasks.names.data.clean.trim=false"}), HasSubstr("cleaned alike"));
  EXPECT_THAT(complaint(both(), {"tasks.names.weight=0"}), HasSubstr("more than 0"));
  EXPECT_THAT(complaint(both(), {"train.task_sampling=evenly"}), HasSubstr("equal"));
  EXPECT_THAT(complaint(both(), {"train.task_temperature=0.5"}), HasSubstr("at least 1"));
}

TEST_F(SeveralTasks, NameTheTaskThatIsWrong) {
  write_file(path("names-train"), "");
  EXPECT_THAT(complaint(both()), AllOf(HasSubstr("task names: "), HasSubstr("no rows")));
  write("names-train", testing_support::tiny_sentences(20, "train", 1));
  std::vector<Record> strays = testing_support::tiny_texts(9, "dev", 2);
  strays[4].fields["task"] = "names";
  write("topic-dev", strays);
  EXPECT_THAT(complaint(both()), AllOf(HasSubstr("topic-dev.jsonl:5"), HasSubstr("\"names\""),
                                       HasSubstr("the data of task topic")));
}

TEST_F(SeveralTasks, BecomeOneTaskByMerging) {
  const RunResult result = fine_tune(config(both(), {"peft={peft_type: LORA, r: 2}"}));
  merge_adapter(result.model, folder_ / "names", "names");
  const auto alone = Pipeline::load(folder_ / "names");
  EXPECT_STREQ(alone->info().name, "ner");
  fine_tune(config(both(), {"output.overwrite=true"}));
  save_part(folder_ / "run/model", folder_ / "topic", "topic");
  EXPECT_STREQ(Pipeline::load(folder_ / "topic")->info().name, "classify");
  EXPECT_THAT(error_of([&] { save_part(folder_ / "run/model", folder_ / "topic", "topic"); }),
              HasSubstr("is there already"));
}

TEST_F(SeveralTasks, MayBeAStage) {
  const RunConfig run =
      config("task: {name: ner}\n" + data_of("names") + "\nstages:\n  - name: both\n    " +
             "tasks: {topic: {task: {name: classify}, " + data_of("topic") +
             "}, names: {task: {name: ner}, " + data_of("names") + "}}\n");
  ASSERT_EQ(run.stages.size(), 1u);
  EXPECT_STREQ(run.stages.front().make_task(0)->info().name, "several");
  const RunResult result = fine_tune(run);
  EXPECT_TRUE(fs::exists(folder_ / "run/stages/both/report.json"));
  EXPECT_EQ(result.test->report.task, "ner");
}

}  // namespace
}  // namespace hone
