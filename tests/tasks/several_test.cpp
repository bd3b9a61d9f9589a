#include "tasks/several/several.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tasks/pipeline.h"

namespace hone::several {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;
using testing_support::TemporaryFolder;

constexpr const char* kTwo =
    "{topic: {task: {name: classify}, weight: 2}, names: {task: {name: ner}, max_seq_length: 24}}";

std::unique_ptr<Task> made(const std::string& yaml, int64_t longest = 0) {
  Config section = Config::parse(yaml, "tasks");
  std::unique_ptr<Task> task = kInfo.make(section, longest);
  section.refuse_unknown();
  return task;
}

Record row(Json fields) {
  return {std::move(fields), std::make_shared<const std::string>("mixed.jsonl"), 7};
}

Record note(const std::string& text, const std::string& label, const std::string& task = "topic") {
  return row({{"task", task}, {"text", text}, {"label", label}});
}

Record sentence(const std::vector<std::string>& tokens, const std::vector<std::string>& tags) {
  return row({{"task", "names"}, {"tokens", tokens}, {"tags", tags}});
}

std::shared_ptr<Task> learned(const std::string& yaml = kTwo) {
  const std::shared_ptr<Task> task = made(yaml);
  for (Record record : testing_support::tiny_texts(21, "texts")) {
    record.fields["task"] = "topic";
    task->learn(record);
  }
  for (Record record : testing_support::tiny_sentences(21, "sentences")) {
    record.fields["task"] = "names";
    task->learn(record);
  }
  task->finish_learning();
  return task;
}

TEST(Several, RefusesWhatIsNoTaskOfSeveral) {
  const auto error = [](const std::string& yaml, int64_t longest = 0) {
    return error_of([&] { made(yaml, longest); });
  };
  EXPECT_THAT(error("{a b: {task: {name: ner}}}"), HasSubstr("letters, digits"));
  EXPECT_THAT(error("{a.b: {task: {name: ner}}}"), HasSubstr("letters, digits"));
  EXPECT_THAT(error("{a: {task: {name: nre}}}"), HasSubstr("did you mean \"ner\""));
  EXPECT_THAT(error("{a: {task: {name: several}}}"), HasSubstr("cannot be several itself"));
  EXPECT_THAT(error("{a: {task: {name: setfit}}}"),
              HasSubstr("solved for when training has ended"));
  EXPECT_THAT(error("{a: {task: {name: causal_lm}}}"), HasSubstr("token by token"));
  EXPECT_THAT(error("{a: {task: {name: embedding}}}"),
              HasSubstr("all samples of an optimizer step"));
  for (const char* weight : {"0", "-1", ".nan", ".inf"})
    EXPECT_THAT(error(std::string("{a: {task: {name: ner}, weight: ") + weight + "}}"),
                HasSubstr("\"weight\""))
        << weight;
  EXPECT_THAT(error("{a: {task: {name: ner}, max_seq_length: 99}}", 48), HasSubstr("up to 48"));
  EXPECT_THAT(error("{a: {task: {name: ner}, max_seq_length: -1}}"),
              HasSubstr("\"max_seq_length\""));
  EXPECT_THAT(error("{a: {task: {name: classify, text: task}}}"),
              HasSubstr("names the task of a row"));
  EXPECT_THAT(error("{a: {task: {name: ner}, wieght: 2}}"), HasSubstr("did you mean \"weight\""));
  EXPECT_THAT(error("{a: {name: ner}}"), HasSubstr("\"name\""));
}

TEST(Several, MayBearTheNamesOfModulesAndOfTasks) {
  const auto task =
      made("{bert: {task: {name: ner}}, heads: {task: {name: classify}}, qa: {task: {name: qa}}}");
  EXPECT_EQ(task->parts().size(), 3u);
}

TEST(Several, NamesTheRowThatNamesNoTask) {
  const auto task = learned();
  const auto error = [&](const Record& record) {
    return error_of([&] { task->label_of(record); });
  };
  EXPECT_THAT(error(note("word1", "a", "topics")),
              AllOf(StartsWith("mixed.jsonl:7: \"task\" is \"topics\""), HasSubstr("topic, names"),
                    HasSubstr("did you mean \"topic\"")));
  EXPECT_THAT(error(row({{"text", "word1"}})), AllOf(HasSubstr("\"task\""), HasSubstr("--task")));
  EXPECT_THAT(error(row({{"task", 1}, {"text", "word1"}})), HasSubstr("\"task\""));
}

TEST(Several, RefusesATaskThatLearnedNothing) {
  const auto task = made(kTwo);
  task->learn(note("word1", "a"));
  task->learn(note("word2", "b"));
  EXPECT_THAT(error_of([&] { task->finish_learning(); }),
              HasSubstr("task names has no training rows"));
  task->learn(sentence({"word1"}, {"B-PER"}));
  task->finish_learning();
  const auto one_class = made(kTwo);
  one_class->learn(note("word1", "a"));
  one_class->learn(sentence({"word1"}, {"B-PER"}));
  EXPECT_THAT(error_of([&] { one_class->finish_learning(); }), HasSubstr("task topic: "));
}

TEST(Several, KeepsTheLabelsOfEachTaskApart) {
  const auto task = made("{a: {task: {name: classify}}, b: {task: {name: classify}}}");
  for (const char* label : {"x", "y"}) task->learn(note("word1", label, "a"));
  for (const char* label : {"y", "z"}) task->learn(note("word1", label, "b"));
  task->finish_learning();
  const Json state = task->state();
  EXPECT_NE(state["tasks"][0]["state"], state["tasks"][1]["state"]);
  EXPECT_EQ(kInfo.restore(state)->state(), state);
}

TEST(Several, GivesEachSampleItsTask) {
  TemporaryFolder folder;
  testing_support::write_tiny_bert(folder / "bert");
  const auto tokenizer = Tokenizer::load(folder / "bert");
  const auto task = learned();
  bool is_cut = false;
  EXPECT_EQ(task->encode(note("word1 word2", "a"), *tokenizer, true, &is_cut).front().task, 0);
  const auto samples = task->encode(
      sentence(std::vector<std::string>(40, "word1"), std::vector<std::string>(40, "O")),
      *tokenizer, true, &is_cut);
  EXPECT_GT(samples.size(), 1u);  // 24 tokens at most
  for (const Sample& sample : samples) EXPECT_EQ(sample.task, 1);
}

TEST(Several, ScoresTheMeanOfTheMainMetrics) {
  const auto task = learned();
  const auto scorer = task->make_scorer();
  scorer->add(note("word1", "a"), {{"task", "topic"}, {"label", "a"}, {"scores", {{"a", 1}}}});
  scorer->add(note("word2", "b"), {{"task", "topic"}, {"label", "a"}, {"scores", {{"a", 1}}}});
  scorer->add(sentence({"word1"}, {"B-PER"}), {{"task", "names"}, {"tags", {"B-PER"}}});
  const Report report = scorer->report();
  EXPECT_EQ(report.metric, kMean);
  EXPECT_EQ(report.n, 3);
  EXPECT_NEAR(report.score, (report.value("topic.accuracy") + 1) / 2, 1e-12);
  EXPECT_EQ(report.value("names.f1"), 1);
  ASSERT_TRUE(report.main()->interval);
  EXPECT_LT(report.main()->interval->low, report.score);
  report.json();  // no key stands twice
}

TEST(Several, TellsOfATaskWithoutRows) {
  const auto scorer = learned()->make_scorer();
  scorer->add(sentence({"word1"}, {"B-PER"}), {{"task", "names"}, {"tags", {"B-PER"}}});
  const Report report = scorer->report();
  EXPECT_EQ(report.score, 1);
  ASSERT_FALSE(report.found.empty());
  EXPECT_THAT(report.found.front().text, HasSubstr("no row is of task topic"));
}

TEST(Several, IsJudgedByTheLossWhereAMetricShouldBeSmall) {
  const auto task = made("{words: {task: {name: mlm}}, names: {task: {name: ner}}}");
  const auto scorer = task->make_scorer();
  EXPECT_EQ(learned()->make_scorer()->report().metric, kMean);
  scorer->add(row({{"task", "words"}, {"text", "word1"}}),
              {{"task", "words"}, {"tokens", 4}, {"correct", 1}, {"loss", 2.0}});
  EXPECT_EQ(scorer->report().metric, "");
}

class SavedSeveral : public testing::Test {
 protected:
  SavedSeveral() {
    testing_support::write_tiny_bert(folder_ / "bert");
    pipeline_ = Pipeline::create(folder_ / "bert", Tokenizer::load(folder_ / "bert"), learned(), 1);
    pipeline_->save(folder_ / "model");
  }

  std::vector<Record> rows() const {
    std::vector<Record> rows;
    for (Record record : testing_support::tiny_texts(5, "texts", 3)) {
      record.fields["task"] = "topic";
      rows.push_back(record);
    }
    for (Record record : testing_support::tiny_sentences(5, "sentences", 3)) {
      record.fields["task"] = "names";
      rows.push_back(record);
    }
    return rows;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(SavedSeveral, AnswersRowsOfAllTasks) {
  const auto again = Pipeline::load(folder_ / "model");
  const std::vector<Json> answers = again->predict(rows());
  EXPECT_EQ(answers, pipeline_->predict(rows()));
  EXPECT_EQ(answers.front().at("task"), "topic");
  EXPECT_TRUE(answers.front().contains("label"));
  EXPECT_EQ(answers.back().at("task"), "names");
  EXPECT_TRUE(answers.back().contains("tags"));
}

TEST_F(SavedSeveral, IsOneTaskAloneWhereThatIsAskedFor) {
  const auto names = Pipeline::load(folder_ / "model", {}, "names");
  EXPECT_STREQ(names->info().name, "ner");
  Record plain = rows().back();
  plain.fields.erase("task");
  Json expected = pipeline_->predict({rows().back()}).front();
  expected.erase("task");
  EXPECT_EQ(names->predict({plain}).front(), expected);
  EXPECT_THAT(error_of([&] { Pipeline::load(folder_ / "model", {}, "nmaes"); }),
              AllOf(HasSubstr("topic, names"), HasSubstr("did you mean \"names\"")));
}

TEST_F(SavedSeveral, TakesOptionsOfTheTaskThatIsNamed) {
  const auto load = [&](const std::string& part) {
    return Pipeline::load(folder_ / "model", {"unknown_labels=count"}, part);
  };
  EXPECT_EQ(load("topic")->task().state()["options"]["unknown_labels"], "count");
  EXPECT_THAT(error_of([&] { load(""); }), HasSubstr("--task NAME"));
}

TEST_F(SavedSeveral, GivesOneTaskAsAFolderOfItsOwn) {
  const auto topic = Pipeline::load(folder_ / "model", {}, "topic");
  topic->save(folder_ / "topic");
  const auto again = Pipeline::load(folder_ / "topic");
  EXPECT_STREQ(again->info().name, "classify");
  EXPECT_EQ(again->predict({rows().front()}), topic->predict({rows().front()}));
  const Json config = read_json(folder_ / "topic/config.json", ErrorKind::kModel);
  EXPECT_EQ(config["architectures"], Json::array({"BertForSequenceClassification"}));
  EXPECT_FALSE(config.contains("hone_tasks"));
  EXPECT_TRUE(read_safetensors(folder_ / "topic/model.safetensors").contains("classifier.weight"));
  EXPECT_THAT(error_of([&] { Pipeline::load(folder_ / "topic", {}, "topic"); }),
              HasSubstr("one task, classify"));
}

TEST_F(SavedSeveral, GoesOnWithItsHeadsWhereTasksAndLabelsAreTheSame) {
  const auto tokenizer = Tokenizer::load(folder_ / "bert");
  const auto weight_of = [&](const Pipeline& pipeline, const std::string& name) {
    return weights_of(const_cast<Pipeline&>(pipeline).network()).at(name);
  };
  const std::string head = "heads.names.classifier.weight";
  const auto same = Pipeline::create(folder_ / "model", tokenizer, learned(), 2);
  EXPECT_TRUE(at::equal(weight_of(*same, head), weight_of(*pipeline_, head)));
  const auto other = Pipeline::create(
      folder_ / "model", tokenizer,
      learned("{topic: {task: {name: classify}}, names: {task: {name: ner, crf: true}}}"), 2);
  EXPECT_FALSE(at::equal(weight_of(*other, head), weight_of(*pipeline_, head)));
}

TEST_F(SavedSeveral, BeginsWithTheHeadOfACheckpointOfOneTask) {
  Pipeline::load(folder_ / "model", {}, "topic")->save(folder_ / "topic");
  const auto both =
      Pipeline::create(folder_ / "topic", Tokenizer::load(folder_ / "bert"), learned(), 2);
  const StateDict before = read_safetensors(folder_ / "topic/model.safetensors"),
                  after = weights_of(both->network());
  EXPECT_TRUE(at::equal(after.at("heads.topic.classifier.weight"), before.at("classifier.weight")));
}

}  // namespace
}  // namespace hone::several
