#include "tasks/nested_ner/nested_ner.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "tasks/toy.h"

namespace hone::nested_ner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::error_of;
using toy::record;

// A piece is three letters: one for each word here.
constexpr const char* kBank = R"({"text": "the ban of osl", "entities": [
    {"start": 4, "end": 14, "label": "ORG"}, {"start": 11, "end": 14, "label": "LOC"}]})";

// Types: LOC, ORG.
std::unique_ptr<Task> trained(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  task->learn(record(kBank));
  task->finish_learning();
  return task;
}

// What a head of size 2 might say of `tokens` tokens: nothing that pairs, and each span (first,
// last, type) by its ends alone, which must differ.
at::Tensor outputs_for(int64_t tokens, const std::vector<TypedPair>& spans) {
  at::Tensor output = at::zeros({tokens, 2 * 2 + 2 * 2});
  output.slice(1, 4).fill_(-8);
  for (const TypedPair& span : spans) {
    output[span.first][4 + span.type] = 6;
    output[span.last][6 + span.type] = 6;
  }
  return output;
}

TEST(NestedNer, LearnsEntitiesInEntities) {
  const auto task = trained();
  const std::vector<Sample> samples = task->encode(record(kBank), toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_THAT(samples[0].targets.at(0).values, ElementsAre(1, 4));  // after [CLS]
  EXPECT_THAT(samples[0].targets.at(1).values, ElementsAre(2));
  EXPECT_THAT(samples[0].targets.at(2).values, ElementsAre(1, 3, 1, 3, 3, 0));
  const Loss loss = task->loss(at::zeros({6, 8}), collate(samples, {0}, 0));
  EXPECT_EQ(loss.count, 2);  // types
  EXPECT_NEAR(loss.sum.item<double>(), 2 * (std::log(1 + 1.0) + std::log(1 + 9.0)), 1e-5);
}

// About as many as a document of brat's may have: what compares all with all does not come to an
// end.
TEST(NestedNer, LearnsAndScoresDocumentsOfManyEntities) {
  constexpr int kMany = 60'000;
  Record row = record(R"({"text": "", "entities": []})");
  std::string text;
  for (int i = 0; i < kMany; ++i) {
    text += "ab ";
    row.fields["entities"].push_back({{"start", 3 * i}, {"end", 3 * i + 2}, {"label", "ORG"}});
  }
  row.fields["text"] = text;
  const auto task = trained();
  EXPECT_EQ(task->encode(row, toy::ToyTokenizer(), true).front().repair, "");
  const auto scorer = task->make_scorer();
  scorer->add(row, row.fields);
  EXPECT_EQ(scorer->report().value("f1"), 1);
}

TEST(NestedNer, AnswersWithAllSpansAboveTheThreshold) {
  const auto task = trained("head_size: 2");
  const Record row = record(R"({"text": "the ban of osl"})");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  const Json result =
      task->decode(row, std::vector<Row>{{&samples[0], outputs_for(6, {{2, 4, 1}, {4, 4, 0}})}},
                   toy::ToyTokenizer());
  const Json& entities = result["entities"];
  ASSERT_EQ(entities.size(), 2u);
  EXPECT_EQ(entities[0]["text"], "ban of osl");
  EXPECT_EQ(entities[0]["label"], "ORG");
  EXPECT_EQ(entities[1]["start"], 11);
  EXPECT_EQ(entities[1]["end"], 14);
  EXPECT_GT(entities[1]["score"].get<double>(), 0.99);
}

// Words 0 to 5 in windows [0, 4) and [2, 6): "c" and "d" stand in both.
TEST(NestedNer, TakesASpanFromTheWindowWithMostContext) {
  const auto task = trained("{head_size: 2, stride: 2}", 6);
  const Record row = record(R"({"text": "a b c d e f"})");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  ASSERT_EQ(samples.size(), 2u);
  const auto decoded = [&](const std::vector<TypedPair>& first,
                           const std::vector<TypedPair>& second) {
    std::vector<std::string> texts;
    const std::vector<Row> rows = {{&samples[0], outputs_for(6, first)},
                                   {&samples[1], outputs_for(6, second)}};
    const Json result = task->decode(row, rows, toy::ToyTokenizer());
    for (const Json& entity : result["entities"]) texts.push_back(entity["text"]);
    return texts;
  };
  // Place i of the first window is word i - 1, of the second word i + 1.
  EXPECT_THAT(decoded({{3, 3, 0}}, {}), ElementsAre("c"));
  EXPECT_THAT(decoded({}, {{1, 1, 0}}), IsEmpty()) << "\"c\" begins the second window";
  EXPECT_THAT(decoded({}, {{2, 2, 0}}), ElementsAre("d"));
  EXPECT_THAT(decoded({{1, 1, 0}}, {{4, 4, 1}}), ElementsAre("a", "f"));
}

TEST(NestedNer, CountsWhatNoWindowHolds) {
  const auto task = trained("stride: 0", 5);  // windows of three words
  const std::vector<Sample> samples = task->encode(record(kBank), toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_THAT(samples[0].repair, AllOf(HasSubstr("ORG"), HasSubstr("no window holds it")));
  EXPECT_THAT(samples[1].targets.at(1).values, ElementsAre(1));  // LOC
}

TEST(NestedNer, SaysWhereAnEntityBeginsInsideAPiece) {
  const auto task = trained();
  const Record row =
      record(R"({"text": "abc", "entities": [{"start": 1, "end": 3, "label": "LOC"}]})");
  EXPECT_THAT(task->encode(row, toy::ToyTokenizer(), true).at(0).repair, HasSubstr("inside"));
}

TEST(NestedNer, RefusesAnUnknownType) {
  const auto task = trained();
  const Record unknown =
      record(R"({"text": "abc", "entities": [{"start": 0, "end": 3, "label": "LOG"}]})");
  EXPECT_THAT(error_of([&] { task->encode(unknown, toy::ToyTokenizer(), true); }),
              AllOf(HasSubstr("LOG"), HasSubstr("LOC"), HasSubstr("unknown_labels")));
  EXPECT_THAT(trained("unknown_labels: count")
                  ->encode(unknown, toy::ToyTokenizer(), true)
                  .at(0)
                  .targets.at(1)
                  .values,
              ElementsAre(0));
}

TEST(NestedNer, ScoresNestedEntitiesAndSeveralTypesOfOneSpan) {
  const auto scorer = trained()->make_scorer();
  const Json both = Json::parse(R"([{"start": 0, "end": 3, "label": "LOC"},
                                    {"start": 0, "end": 3, "label": "ORG"}])");
  Record gold = record(R"({"text": "abc"})");
  gold.fields["entities"] = both;
  Json twice = both;
  twice.push_back(both[0]);  // counts once
  scorer->add(gold, {{"entities", twice}});
  scorer->add(record(kBank), {{"entities", Json::array({record(kBank).fields["entities"][0]})}});
  const Report report = scorer->report();
  EXPECT_EQ(report.task, "nested_ner");
  EXPECT_DOUBLE_EQ(report.value("precision"), 1);
  EXPECT_DOUBLE_EQ(report.value("recall"), 0.75);
  const Json confusion = report.json()["confusion"];
  EXPECT_EQ(confusion["counts"], Json({{1, 0, 1}, {0, 2, 0}, {0, 0, 0}})) << confusion;
}

TEST(NestedNer, RestoresWhatItLearned) {
  const auto task = trained("{head_size: 8, threshold: 0.25, stride: 3}");
  EXPECT_EQ(kInfo.restore(Json::parse(task->state().dump()))->state(), task->state());
}

}  // namespace
}  // namespace hone::nested_ner
