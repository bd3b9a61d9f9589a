#include "tasks/relation/relation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "tasks/relation/pairs.h"
#include "tasks/toy.h"

namespace hone::relation {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;
using toy::record;

std::unique_ptr<Task> make(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

// Has seen Made(e2,e1) and no relation in a text with marks: classes Other, Made(e1,e2),
// Made(e2,e1).
std::unique_ptr<Task> trained(const std::string& yaml = "{}", int64_t longest = 64) {
  auto task = make(yaml, longest);
  task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Made(e2,e1)"})j"));
  task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Other"})j"));
  task->finish_learning();
  return task;
}

constexpr const char* kFamily = R"j({"text": "Ann met Bo and Al.",
  "entities": [{"id": "T2", "start": 8, "end": 10, "label": "P"},
               {"id": "T1", "start": 0, "end": 3, "label": "P"},
               {"id": "T3", "start": 15, "end": 17, "label": "Q"}],
  "relations": [{"head": "T2", "tail": "T1", "label": "Son"}]})j";

std::string text_of(const Document& document, size_t entity) {
  const Span& bytes = document.entities[entity].bytes;
  return document.text.substr(bytes.start, bytes.end - bytes.start);
}

TEST(RelationGold, TakesTheMarksOutOfAText) {
  const Document document =
      document_of(record(R"j({"text": "The <e1>old mill</e1> of <e2> Zoë </e2>."})j"), Options());
  EXPECT_EQ(document.text, "The old mill of  Zoë .");
  EXPECT_EQ(text_of(document, 0), "old mill");
  EXPECT_EQ(text_of(document, 1), "Zoë");
}

TEST(RelationGold, ReadsMarksInAnyOrderNestedAndOverlapping) {
  const auto texts = [](const char* fields) {
    const Document document = document_of(record(fields), Options());
    return text_of(document, 0) + "|" + text_of(document, 1);
  };
  EXPECT_EQ(texts(R"j({"text": "<e2>a</e2> <e1>b</e1>"})j"), "b|a");
  EXPECT_EQ(texts(R"j({"text": "<e1>a <e2>b</e2></e1>"})j"), "a b|b");
  EXPECT_EQ(texts(R"j({"text": "<e1>a <e2>b</e1> c</e2>"})j"), "a b|b c");
}

TEST(RelationGold, SaysWhatIsWrongWithMarks) {
  const auto error = [](const char* fields) {
    return error_of([&] { document_of(record(fields), Options()); });
  };
  EXPECT_THAT(error(R"j({"text": "a <e1>b</e1>"})j"),
              AllOf(StartsWith("data.jsonl:1: \"text\" has no <e2>"), HasSubstr("\"entities\"")));
  EXPECT_THAT(error(R"j({"text": "<e1>a</e1> <e1>b</e1> <e2>c</e2>"})j"),
              HasSubstr("has <e1> twice"));
  EXPECT_THAT(error(R"j({"text": "</e1>a<e1> <e2>c</e2>"})j"), HasSubstr("has </e1> before <e1>"));
  EXPECT_THAT(error(R"j({"text": "<e1> </e1> <e2>c</e2>"})j"),
              HasSubstr("has nothing between <e1> and </e1>"));
}

TEST(RelationGold, ReadsEntitiesAndTheirRelations) {
  const Record row = record(kFamily);
  const Document document = document_of(row, Options());
  EXPECT_EQ(text_of(document, 0), "Ann");  // in the order of the text
  const std::vector<Claim> claims = claims_of(row.fields, document, row, Options());
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].name(), "Son(e2,e1)");
  EXPECT_EQ(claims[0].first, 0u);
  EXPECT_EQ(claims[0].second, 1u);
}

TEST(RelationGold, SaysWhatIsWrongWithEntitiesAndRelations) {
  const auto error = [](const char* pointer, const char* value) {
    Record row = record(kFamily);
    row.fields[Json::json_pointer(pointer)] = Json::parse(value);
    return error_of([&] {
      const Document document = document_of(row, Options());
      claims_of(row.fields, document, row, Options());
    });
  };
  EXPECT_THAT(error("/relations/0/tail", "\"T9\""),
              AllOf(StartsWith("data.jsonl:1: \"relations\""), HasSubstr("has no entity \"T9\"")));
  EXPECT_THAT(error("/relations/0/tail", "\"T2\""), HasSubstr("relates an entity to itself"));
  EXPECT_THAT(error("/relations/0/label", "3"), HasSubstr("needs a text \"label\""));
  EXPECT_THAT(error("/relations", "{}"), HasSubstr("must be a list of relations"));
  EXPECT_THAT(error("/entities/0/end", "99"), HasSubstr("but the text has 18 characters"));
  EXPECT_THAT(error("/entities/0/end", "8"), HasSubstr("nothing that can be seen"));
  EXPECT_THAT(error("/entities/0/start", "\"8\""), HasSubstr("a whole number \"start\""));
  EXPECT_THAT(error("/entities/0/id", "\"T1\""), HasSubstr("two entities with the id \"T1\""));
}

TEST(RelationGold, KnowsEntitiesWithoutAnIdByTheirPlaceInTheList) {
  const Record row = record(
      R"j({"text": "b a", "entities": [{"start": 2, "end": 3}, {"start": 0, "end": 1}],
          "relations": [{"head": 0, "tail": 1, "label": "x"}]})j");
  const std::vector<Claim> claims =
      claims_of(row.fields, document_of(row, Options()), row, Options());
  EXPECT_EQ(claims.at(0).name(), "x(e2,e1)");
}

// About as many as brat's reader takes: what compares all with all does not come to an end.
TEST(RelationGold, ReadsDocumentsOfManyEntitiesAndRelations) {
  constexpr int kMany = 60'000;
  Record row = record(R"j({"text": "ab", "entities": [], "relations": []})j");
  for (int i = 0; i < kMany; ++i) {
    row.fields["entities"].push_back({{"id", "T" + std::to_string(i)}, {"start", 0}, {"end", 2}});
    if (i > 0)
      row.fields["relations"].push_back(
          {{"head", "T0"}, {"tail", "T" + std::to_string(i)}, {"label", "x"}});
  }
  const Document document = document_of(row, Options());
  EXPECT_EQ(claims_of(row.fields, document, row, Options()).size(), kMany - 1u);
}

// ---- samples

// Pieces as letters, "<" and ">" for the marks of the first entity, "[" and "]" of the second.
std::string pieces_as_text(const std::vector<int32_t>& ids, const std::string& text) {
  std::string shown;
  for (const int32_t id : ids) {
    if (id < 0) shown += "<>[]"[-id - 1];
    if (id >= 0) shown += text[static_cast<size_t>(id)];
  }
  return shown;
}

PairPieces pair_in(const std::string& text, Span first, Span second, int64_t room) {
  Encoding pieces;
  for (int32_t i = 0; i < static_cast<int32_t>(text.size()); ++i) {
    pieces.ids.push_back(i);
    pieces.offsets.push_back({i, i + 1});
    pieces.words.push_back(i);
  }
  return pair_pieces(pieces, {first, second}, {EntityMarks{{-1}, {-2}}, EntityMarks{{-3}, {-4}}},
                     room);
}

std::string shown_pair(Span first, Span second, int64_t room,
                       const std::string& text = "abcdefgh") {
  const PairPieces pair = pair_in(text, first, second, room);
  EXPECT_EQ(pair.pieces.ids.size(), pair.pieces.offsets.size());
  EXPECT_EQ(pair.pieces.ids.size(), pair.pieces.words.size());
  EXPECT_EQ(pair.pieces.ids.at(pair.starts[0]), -1);
  EXPECT_EQ(pair.pieces.ids.at(pair.starts[1]), -3);
  return pieces_as_text(pair.pieces.ids, text) + (pair.is_cut ? " cut" : "");
}

TEST(RelationPairs, PutMarksAroundBothEntities) {
  EXPECT_EQ(shown_pair({1, 3}, {5, 6}, 99), "a<bc>de[f]gh");
  EXPECT_EQ(shown_pair({5, 6}, {1, 3}, 99), "a[bc]de<f>gh");
  EXPECT_EQ(shown_pair({0, 2}, {2, 8}, 99), "<ab>[cdefgh]");
}

TEST(RelationPairs, NestMarksAsEntitiesAreNested) {
  EXPECT_EQ(shown_pair({1, 5}, {2, 3}, 99), "a<b[c]de>fgh");
  EXPECT_EQ(shown_pair({1, 5}, {1, 3}, 99), "a<[bc]de>fgh");
  EXPECT_EQ(shown_pair({1, 3}, {1, 5}, 99), "a[<bc>de]fgh");
  EXPECT_EQ(shown_pair({1, 5}, {3, 5}, 99), "a<bc[de]>fgh");
  EXPECT_EQ(shown_pair({1, 5}, {1, 5}, 99), "a<[bcde]>fgh");
  EXPECT_EQ(shown_pair({1, 4}, {2, 6}, 99), "a<b[cd>ef]gh");
}

TEST(RelationPairs, KeepWhatStandsAroundThemAsFarAsThereIsRoom) {
  EXPECT_EQ(shown_pair({3, 4}, {4, 5}, 8), "c<d>[e]f");
  EXPECT_EQ(shown_pair({0, 1}, {1, 2}, 8), "<a>[b]cd");
  EXPECT_EQ(shown_pair({6, 7}, {7, 8}, 8), "ef<g>[h]");
  EXPECT_EQ(shown_pair({3, 4}, {4, 5}, 6), "<d>[e]");
}

TEST(RelationPairs, KeepBothBeginningsWhereEntitiesAreTooFarApart) {
  EXPECT_EQ(shown_pair({0, 2}, {6, 8}, 6), "<ab[gh cut");
  EXPECT_EQ(shown_pair({6, 8}, {0, 2}, 6), "[ab<gh cut");
  EXPECT_EQ(shown_pair({0, 8}, {1, 2}, 6), "<a[b]c cut");
}

TEST(Relation, HasOneSampleForATextWithMarks) {
  const std::vector<Sample> samples = trained()->encode(
      record(R"j({"text": "x <e1>a</e1> <e2>b</e2>", "relation": "Made(e1,e2)"})j"),
      toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].size(), 9);  // [CLS] x @ a @ # b # [SEP]
  EXPECT_EQ(samples[0].targets[0].name, "starts");
  EXPECT_THAT(samples[0].targets[0].values, ElementsAre(2, 5));
  EXPECT_THAT(samples[0].targets[1].values, ElementsAre(1));
}

// Classes: Other, Son(e1,e2), Son(e2,e1).
std::unique_ptr<Task> of_families(const std::string& yaml = "{}") {
  auto task = make(yaml);
  task->learn(record(kFamily));
  task->finish_learning();
  return task;
}

TEST(Relation, HasASampleForEachPairOfTypesThatAreRelated) {
  const std::vector<Sample> samples =
      of_families()->encode(record(kFamily), toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 1u);  // no relation of P and Q was seen
  EXPECT_THAT(samples[0].targets[1].values, ElementsAre(2));
  EXPECT_EQ(samples[0].repair, "");
}

// A text with `count` entities "P" in one place.
Record crowd(int count) {
  Record row = record(R"j({"text": "ab", "entities": [], "relations": []})j");
  for (int i = 0; i < count; ++i)
    row.fields["entities"].push_back({{"start", 0}, {"end", 2}, {"label", "P"}});
  return row;
}

TEST(Relation, RefusesADocumentOfTooManyPairs) {
  const auto task = of_families();
  EXPECT_EQ(task->encode(crowd(100), toy::ToyTokenizer(), true).size(), 4950u);
  EXPECT_THAT(error_of([&] { task->encode(crowd(60'000), toy::ToyTokenizer(), true); }),
              AllOf(StartsWith("data.jsonl:1: \"entities\""), HasSubstr("more than 20000 pairs"),
                    HasSubstr("task.max_distance")));
  Record unrelated = crowd(60'000);  // no relation of "Q" and "Q" was seen
  for (Json& entity : unrelated.fields["entities"]) entity["label"] = "Q";
  EXPECT_EQ(task->encode(unrelated, toy::ToyTokenizer(), true).size(), 1u);
}

TEST(Relation, AsksAboutPairsInTheOrderOfTheText) {
  auto task = make();
  Record row = record(R"j({"text": "a b c", "entities": [
      {"start": 0, "end": 1, "label": "Q"}, {"start": 2, "end": 3, "label": "P"},
      {"start": 4, "end": 5, "label": "Q"}],
      "relations": [{"head": 0, "tail": 1, "label": "x"}, {"head": 1, "tail": 2, "label": "x"},
                    {"head": 2, "tail": 0, "label": "y"}]})j");
  task->learn(row);
  task->finish_learning();
  std::vector<float> classes;  // of Other, x and y both ways: x(e1,e2) is 1, y(e2,e1) is 4
  for (const Sample& sample : task->encode(row, toy::ToyTokenizer(), true))
    classes.push_back(sample.targets[1].values.at(0));
  EXPECT_THAT(classes, ElementsAre(1, 4, 1));  // of (a, b), (a, c), (b, c)
}

TEST(Relation, SaysWhichRelationsItCannotLearn) {
  const auto repair = [](const std::string& yaml, const char* relations) {
    Record row = record(kFamily);
    row.fields["relations"] = Json::parse(relations);
    return of_families(yaml)->encode(row, toy::ToyTokenizer(), true).at(0).repair;
  };
  constexpr const char* kSon = R"j([{"head": "T2", "tail": "T1", "label": "Son"}])j";
  EXPECT_EQ(repair("{}", kSon), "");
  EXPECT_THAT(repair("max_distance: 4", kSon), HasSubstr("farther apart than max_distance"));
  EXPECT_THAT(repair("{}", R"j([{"head": "T2", "tail": "T1", "label": "Son"},
                               {"head": "T1", "tail": "T2", "label": "Son"}])j"),
              HasSubstr("a pair has one at most"));
}

TEST(Relation, HasASampleWithoutATargetWhereNothingMayBeRelated) {
  const auto task = of_families();
  const Record row = record(R"j({"text": "Nobody here", "entities": [], "relations": []})j");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_THAT(samples[0].targets[1].values, ElementsAre(kNoTarget));
  const std::vector<Row> rows = {{&samples[0], at::tensor({0.F, 5.F, 0.F})}};
  EXPECT_EQ(task->decode(row, rows, toy::ToyTokenizer()), Json::parse(R"j({"relations": []})j"));
}

TEST(Relation, AnswersAsARecordSaysIt) {
  const auto answer = [](const Task& task, const Record& row, std::vector<float> logits) {
    const std::vector<Sample> samples = task.encode(row, toy::ToyTokenizer(), false);
    const std::vector<Row> rows = {{&samples.at(0), at::tensor(logits)}};
    return task.decode(row, rows, toy::ToyTokenizer());
  };
  const Record marked = record(R"j({"text": "<e1>a</e1> <e2>b</e2>"})j");
  EXPECT_EQ(answer(*trained(), marked, {0, 0, 99}),
            Json::parse(R"j({"relation": "Made(e2,e1)", "score": 1.0})j"));
  EXPECT_EQ(answer(*trained(), marked, {99, 0, 0})["relation"], "Other");
  EXPECT_EQ(
      answer(*of_families(), record(kFamily), {0, 0, 99}),
      Json::parse(
          R"j({"relations": [{"head": "T2", "tail": "T1", "label": "Son", "score": 1.0}]})j"));
  EXPECT_EQ(answer(*of_families(), record(kFamily), {99, 0, 0})["relations"], Json::array());
}

TEST(Relation, RefusesARelationThatTrainingDidNotHave) {
  const Record row = record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Mode(e1,e2)"})j");
  EXPECT_THAT(error_of([&] { trained()->encode(row, toy::ToyTokenizer(), true); }),
              AllOf(HasSubstr("has the relation \"Mode(e1,e2)\""),
                    HasSubstr("did you mean \"Made(e1,e2)\"")));
  EXPECT_THAT(trained("unknown_labels: count")
                  ->encode(row, toy::ToyTokenizer(), true)
                  .at(0)
                  .targets[1]
                  .values,
              ElementsAre(kNoTarget));
}

TEST(Relation, RefusesTrainingDataWithNothingToTellApart) {
  EXPECT_THAT(error_of([] {
                const auto task = make();
                task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Other"})j"));
                task->finish_learning();
              }),
              HasSubstr("has no relation at all"));
  EXPECT_THAT(error_of([] {
                const auto task = make();
                task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Kin"})j"));
                task->finish_learning();
              }),
              HasSubstr("has one relation only"));
}

// ---- relations of different number

std::map<float, int64_t> classes_of(const Task& task, const std::vector<Record>& records) {
  std::map<float, int64_t> counts;
  for (const Record& row : records) {
    for (const Sample& sample : task.encode(row, toy::ToyTokenizer(), true))
      ++counts[sample.targets[1].values.at(0)];
  }
  return counts;
}

// The losses of one sample of each class over its plain one: what a sample of each class counts.
std::vector<double> weights_in(const Task& task, int64_t classes) {
  std::vector<double> weights;
  for (int64_t c = 0; c < classes; ++c) {
    Batch batch;
    batch.targets["relation"] = at::full({1}, c).to(at::kFloat);
    const at::Tensor logits = at::arange(classes).to(at::kFloat).unsqueeze(0);
    weights.push_back(task.loss(logits, batch, {.trains = true}).sum.item<double>() /
                      task.loss(logits, batch).sum.item<double>());
  }
  return weights;
}

TEST(RelationBalance, CountsTheSamplesOfEachClass) {
  auto task = make("{class_weights: balanced, max_distance: 12}");
  Record strangers = record(kFamily), far = record(kFamily);
  strangers.fields["relations"] = Json::array();
  strangers.fields["entities"][2]["label"] = "P";  // "Al": with Bo near, with Ann at 12 characters
  far.fields["text"] = "Ann met Bo and all of their friends, and Al.";
  far.fields["entities"][2] = {{"id", "T3"}, {"start", 41}, {"end", 43}, {"label", "P"}};
  const std::vector<Record> rows = {record(kFamily), strangers, far};
  for (const Record& row : rows) task->learn(row);
  task->finish_learning();
  // Other, Son(e1,e2), Son(e2,e1)
  EXPECT_EQ(classes_of(*task, rows), (std::map<float, int64_t>{{0, 3}, {2, 2}}));
  EXPECT_THAT(
      weights_in(*task, 3),
      ElementsAre(DoubleNear(5.0 / 6, 1e-6), DoubleNear(5.0 / 2, 1e-6), DoubleNear(5.0 / 4, 1e-6)));
}

TEST(RelationBalance, CountsTextsWithMarks) {
  auto task = make("{class_weights: inverse_sqrt}");
  task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Made(e2,e1)"})j"));
  for (int i = 0; i < 4; ++i)
    task->learn(record(R"j({"text": "<e1>a</e1> <e2>b</e2>", "relation": "Other"})j"));
  task->finish_learning();
  EXPECT_THAT(
      weights_in(*task, 3),
      ElementsAre(DoubleNear(5.0 / 6, 1e-6), DoubleNear(5.0 / 3, 1e-6), DoubleNear(5.0 / 3, 1e-6)));
}

TEST(RelationBalance, EndsForADocumentOfVeryManyPairs) {
  auto task = make("{class_weights: balanced}");
  task->learn(record(kFamily));
  task->learn(crowd(60'000));
  task->finish_learning();
  const std::vector<double> weights = weights_in(*task, 3);
  EXPECT_LT(weights[0], weights[2] / 10'000);  // of Other, and of Son(e2,e1)
}

TEST(RelationBalance, RefusesWhatCannotBe) {
  EXPECT_THAT(error_of([] { make("{focal_gamma: -1}"); }),
              AllOf(HasSubstr("run.yaml:1:"), HasSubstr("from 0 to 100")));
  EXPECT_THAT(error_of([] { make("{class_weight: balanced}"); }), HasSubstr("class_weights"));
}

// ---- scores

TEST(RelationScorer, CountsAWrongDirectionAsWrong) {
  const auto scorer = make()->make_scorer();
  const auto add = [&](const char* gold, const char* said) {
    Record row = record(R"j({"text": "<e1>a</e1> <e2>b</e2>"})j");
    row.fields["relation"] = gold;
    scorer->add(row, {{"relation", said}, {"score", 0.5}});
  };
  add("A(e1,e2)", "A(e1,e2)");
  add("A(e1,e2)", "A(e2,e1)");
  add("B(e1,e2)", "Other");
  add("Other", "Other");
  const Report report = scorer->report();
  EXPECT_NEAR(report.value("macro_f1"), 0.25, 1e-12);  // A: 1 of 2 and 1 of 2; B: nothing
  EXPECT_NEAR(report.value("precision"), 0.5, 1e-12);
  EXPECT_NEAR(report.value("recall"), 1.0 / 3, 1e-12);
  EXPECT_NEAR(report.value("exact_match"), 0.5, 1e-12);
}

TEST(RelationScorer, NamesTheRowOfAResultThatRelatesWhatIsNotThere) {
  const auto scorer = make()->make_scorer();
  EXPECT_THAT(error_of([&] {
                scorer->add(
                    record(kFamily),
                    Json::parse(R"j({"relations": [{"head": "T1", "tail": "X", "label": "a"}]})j"));
              }),
              AllOf(StartsWith("data.jsonl:1: in the result for this row"),
                    HasSubstr("has no entity \"X\"")));
}

}  // namespace
}  // namespace hone::relation
