#include "tasks/entity_relations/entity_relations.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "tasks/toy.h"

namespace hone::entity_relations {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using toy::record;

// A piece is three letters: one for each word here.
constexpr const char* kAnn = R"({"text": "ann at fox in osl",
    "entities": [{"id": "T1", "start": 0, "end": 3, "label": "PER"},
                 {"id": "T2", "start": 7, "end": 10, "label": "ORG"},
                 {"id": "T3", "start": 7, "end": 17, "label": "ORG"}],
    "relations": [{"head": "T1", "tail": "T2", "label": "works_for"},
                  {"head": "T3", "tail": "T1", "label": "knows"}]})";

// Types: ORG, PER. Relations: knows, works_for.
std::unique_ptr<Task> trained(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  task->learn(record(kAnn));
  task->finish_learning();
  return task;
}

Json edited(const std::function<void(Json&)>& edit) {
  Json fields = record(kAnn).fields;
  edit(fields);
  return fields;
}

Record with(Json fields, int64_t line) {
  Record row = record(kAnn, line);
  row.fields = std::move(fields);
  return row;
}

TEST(EntityRelations, LearnsFirstAndLastTokensOfARelation) {
  const auto task = trained("{entity_weight: 2, relation_weight: 3}");
  const std::vector<Sample> samples = task->encode(record(kAnn), toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 1u);
  const auto& targets = samples[0].targets;
  ASSERT_EQ(targets.size(), 7u);
  EXPECT_EQ(targets[4].name, "relation_heads");
  EXPECT_THAT(targets[4].values, ElementsAre(0, 2, 1, 2, 0, 0));
  EXPECT_EQ(targets[6].name, "relation_tails");
  EXPECT_THAT(targets[6].values, ElementsAre(0, 2, 1, 4, 0, 0));
  const Outputs zeros = {{at::zeros({7, 8}), RowOf::kToken},
                         {at::zeros({7, 8}), RowOf::kToken},
                         {at::zeros({7, 8}), RowOf::kToken}};
  const Loss loss = task->loss(zeros, collate(samples, {0}, 0));
  EXPECT_EQ(loss.count, 1);
  // Five tokens: 15 spans, of which 2 and 1 are entities; 25 pairs, of which one is a relation.
  const double entities = std::log(3.0) + std::log(14.0) + std::log(2.0) + std::log(15.0),
               relations = std::log(2.0) + std::log(25.0);
  EXPECT_NEAR(loss.sum.item<double>(), 2 * entities / 2 + 3 * relations, 1e-4);
}

// Outputs of size 2 and 2 types for 7 tokens: nothing that pairs, and each pair by its ends alone.
at::Tensor outputs_for(const std::vector<TypedPair>& pairs) {
  at::Tensor output = at::zeros({7, 2 * 2 + 2 * 2});
  output.slice(1, 4).fill_(-8);
  for (const TypedPair& pair : pairs) {
    output[pair.first][4 + pair.type] = 6;
    output[pair.last][6 + pair.type] = 6;
  }
  return output;
}

TEST(EntityRelations, RelatesTheEntitiesThatItFound) {
  const auto task = trained("head_size: 2");
  const Record row = record(R"({"text": "ann at fox in osl"})");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  const auto decoded = [&](const std::vector<TypedPair>& heads,
                           const std::vector<TypedPair>& tails) {
    const std::vector<Row> rows = {{&samples[0],
                                    outputs_for({{1, 1, 1}, {3, 5, 0}}),
                                    {outputs_for(heads), outputs_for(tails)}}};
    return task->decode(row, rows, toy::ToyTokenizer());
  };
  const Json result = decoded({{3, 1, 0}}, {{5, 1, 0}});
  ASSERT_EQ(result["entities"].size(), 2u);
  EXPECT_EQ(result["entities"][1]["text"], "fox in osl");
  EXPECT_EQ(result["entities"][1]["id"], 1);
  ASSERT_EQ(result["relations"].size(), 1u);
  EXPECT_EQ(result["relations"][0]["head"], 1);
  EXPECT_EQ(result["relations"][0]["tail"], 0);
  EXPECT_EQ(result["relations"][0]["label"], "knows");
  EXPECT_TRUE(decoded({{3, 1, 0}}, {{3, 1, 0}})["relations"].empty())
      << "no entity ends at the third word";
}

// Windows "ann bob cat" and "cat dan", in which everything is related: ann and dan share none.
TEST(EntityRelations, RelatesWhatAWindowHoldsTogether) {
  const auto task = trained("{head_size: 2, stride: 1}", 5);
  const Record row = record(R"({"text": "ann bob cat dan"})");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  ASSERT_EQ(samples.size(), 2u);
  const std::vector<std::vector<TypedPair>> entities = {{{1, 1, 0}, {3, 3, 1}},
                                                        {{1, 1, 1}, {2, 2, 0}}};
  std::vector<Row> rows;
  for (size_t window = 0; window < samples.size(); ++window) {
    at::Tensor all = at::zeros({samples[window].size(), 2 * 2 + 2 * 2});
    all.slice(1, 4).fill_(3);
    rows.push_back({&samples[window],
                    outputs_for(entities[window]).slice(0, 0, samples[window].size()),
                    {all, all}});
  }
  const Json answer = task->decode(row, rows, toy::ToyTokenizer());
  std::vector<std::string> related;
  for (const Json& r : answer["relations"])
    related.push_back(fmt::format("{}-{} {}", r["head"].get<int>(), r["tail"].get<int>(),
                                  r["label"].get<std::string>()));
  EXPECT_THAT(related, ElementsAre("0-1 knows", "0-1 works_for", "1-0 knows", "1-0 works_for",
                                   "1-2 knows", "1-2 works_for", "2-1 knows", "2-1 works_for"));
}

TEST(EntityRelations, ScoresARelationWithBothItsEntities) {
  const auto task = trained();
  const auto score = [&](const Json& result) {
    const auto scorer = task->make_scorer();
    scorer->add(record(kAnn), result);
    return scorer->report();
  };
  const Report right = score(edited([](Json&) {}));
  EXPECT_EQ(right.metric, "relation_f1");
  EXPECT_DOUBLE_EQ(right.score, 1);
  EXPECT_DOUBLE_EQ(right.value("entity_f1"), 1);
  // Another type, other bounds, the other direction, another label: one of two relations is lost.
  const std::vector<std::function<void(Json&)>> wrongs = {
      [](Json& f) { f["entities"][1]["label"] = "PER"; },
      [](Json& f) { f["entities"][1]["end"] = 13; },
      [](Json& f) { std::swap(f["relations"][0]["head"], f["relations"][0]["tail"]); },
      [](Json& f) { f["relations"][0]["label"] = "knows"; }};
  for (const auto& wrong : wrongs) EXPECT_DOUBLE_EQ(score(edited(wrong)).score, 0.5);
}

TEST(EntityRelations, TellsTheRowWithARelationThatCannotBe) {
  const auto task = trained();
  const auto said_of = [&](const std::function<void(Json&)>& edit) {
    return error_of([&] { task->learn(with(edited(edit), 9)); });
  };
  EXPECT_THAT(said_of([](Json& f) { f["relations"][0]["tail"] = "T9"; }),
              AllOf(HasSubstr("data.jsonl:9"), HasSubstr("no entity \"T9\"")));
  EXPECT_THAT(said_of([](Json& f) { f["relations"][0]["tail"] = "T1"; }), HasSubstr("to itself"));
  EXPECT_THAT(said_of([](Json& f) { f["entities"][0].erase("label"); }), HasSubstr("\"label\""));
  EXPECT_THAT(said_of([](Json& f) { f.erase("entities"); }), HasSubstr("entities"));
  EXPECT_THAT(error_of([&] {
                const Json other = edited([](Json& f) { f["relations"][0]["label"] = "works"; });
                task->encode(with(other, 9), toy::ToyTokenizer(), true);
              }),
              AllOf(HasSubstr("works_for"), HasSubstr("unknown_labels")));
}

TEST(EntityRelations, CountsRelationsThatNoWindowHolds) {
  const auto task = trained("stride: 0", 5);  // windows of three words
  const std::vector<Sample> samples = task->encode(record(kAnn), toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_THAT(samples[0].targets[4].values, ElementsAre(0, 2, 1));
  EXPECT_THAT(samples[0].repair, AllOf(HasSubstr("no window holds it"),
                                       HasSubstr("both entities of 1 of its relations")));
}

TEST(EntityRelations, RestoresWhatItLearned) {
  const auto task = trained("{head_size: 8, relation_weight: 2}");
  EXPECT_EQ(kInfo.restore(Json::parse(task->state().dump()))->state(), task->state());
}

}  // namespace
}  // namespace hone::entity_relations
