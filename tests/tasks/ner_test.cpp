#include "tasks/ner/ner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "tasks/ner/text.h"
#include "tasks/toy.h"

namespace hone::ner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using toy::record;

constexpr float kNone = kNoTarget;

std::unique_ptr<Task> make(const std::string& yaml, int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

// Tags: O, B-LOC, I-LOC, B-PER, I-PER.
std::unique_ptr<Task> trained(const std::string& yaml = "{}", int64_t longest = 64) {
  auto task = make(yaml, longest);
  task->learn(record(R"({"tokens": ["Ann", "of", "Rome"], "tags": ["B-PER", "O", "B-LOC"]})"));
  task->finish_learning();
  return task;
}

// Logits that say `tags` for each piece of each sample, by the piece's word.
Json decoded(const Task& task, const Record& row,
             const std::vector<std::vector<int>>& tag_of_word_by_window, float certainty = 20) {
  const std::vector<Sample> samples = task.encode(row, toy::ToyTokenizer(), false);
  std::vector<Row> rows;
  for (size_t w = 0; w < samples.size(); ++w) {
    at::Tensor logits = at::zeros({samples[w].size(), 5});
    for (int64_t i = 0; i < samples[w].size(); ++i) {
      const int32_t word = samples[w].streams[0].words[i];
      if (word >= 0) logits[i][tag_of_word_by_window[w][word]] = certainty;
    }
    rows.push_back({&samples[w], logits});
  }
  return task.decode(row, rows, toy::ToyTokenizer());
}

TEST(Ner, TagsTheFirstPieceOfEachToken) {
  const auto task = trained();
  const Sample sample =
      task->encode(
              record(R"({"tokens": ["Annabel", "in", "Rome"], "tags": ["B-PER", "O", "B-LOC"]})"),
              toy::ToyTokenizer(), true)
          .at(0);
  EXPECT_THAT(sample.streams[0].words, ElementsAre(-1, 0, 0, 0, 1, 2, 2, -1));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kNone, 3, kNone, kNone, 0, 1, kNone, kNone));
  EXPECT_TRUE(sample.targets[0].per_token);
  EXPECT_EQ(sample.streams[0].offsets[5], (Span{11, 14}));  // in "Annabel in Rome"
}

TEST(Ner, NeverCutsALongTextOff) {
  const auto task = trained("stride: 2", 6);  // four pieces a window
  const Record row = record(
      R"({"tokens": ["a", "b", "c", "d", "e", "f"], "tags": ["B-PER", "I-PER", "O", "B-LOC", "O", "O"]})");
  bool truncated = true;
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), true, &truncated);
  EXPECT_FALSE(truncated);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[1].window, 1);
  EXPECT_THAT(samples[0].targets[0].values, ElementsAre(kNone, 3, 4, 0, kNone, kNone));
  EXPECT_THAT(samples[1].targets[0].values, ElementsAre(kNone, kNone, 1, 0, 0, kNone));
}

TEST(Ner, TakesEachTagFromTheWindowWithMostContext) {
  const auto task = trained("stride: 2", 6);
  const Record row = record(R"({"tokens": ["a", "b", "c", "d", "e", "f"]})");
  // The windows disagree on c and d; the first answers for c, the second for d.
  const Json result = decoded(*task, row, {{0, 0, 3, 3, 0, 0}, {0, 0, 1, 1, 0, 0}});
  EXPECT_EQ(result["tags"], Json::parse(R"(["O", "O", "B-PER", "B-LOC", "O", "O"])"));
}

TEST(Ner, AnswersWithEntitiesInCharacters) {
  const Record row = record(R"({"tokens": ["Zoë", "Ann", "in", "Rome"]})");
  const Json result = decoded(*trained(), row, {{3, 4, 0, 1}}, 0);  // all equal: certainty 1/5
  EXPECT_EQ(result["tags"], Json::parse(R"(["O", "O", "O", "O"])"));
  const Json sure = decoded(*trained(), row, {{3, 4, 0, 1}});
  EXPECT_EQ(sure["tokens"], row.fields["tokens"]);
  EXPECT_EQ(sure["entities"], Json::parse(R"([
    {"label": "PER", "text": "Zoë Ann", "start": 0, "end": 7, "token_start": 0, "token_end": 2, "score": 1.0},
    {"label": "LOC", "text": "Rome", "start": 11, "end": 15, "token_start": 3, "token_end": 4, "score": 1.0}])"));
}

TEST(Ner, RepairsTheTagsItGives) {
  EXPECT_EQ(decoded(*trained(), record(R"({"tokens": ["a", "b"]})"), {{4, 2}})["tags"],
            Json::parse(R"(["B-PER", "B-LOC"])"));
}

TEST(Ner, TagsATokenWithoutPiecesAndSaysSo) {
  const auto task = trained();
  const Record row = record(R"({"tokens": ["a", "\u0001", "b"], "tags": ["B-PER", "I-PER", "O"]})");
  EXPECT_THAT(task->encode(row, toy::ToyTokenizer(), true).at(0).targets[0].values,
              ElementsAre(kNone, 3, 0, kNone));
  const Json result = decoded(*task, row, {{3, 0, 0}});
  EXPECT_EQ(result["tags"], Json::parse(R"(["B-PER", "O", "O"])"));
  EXPECT_EQ(result["tokens_without_pieces"], Json::parse("[1]"));
  const auto scorer = task->make_scorer();
  scorer->add(row, result);
  EXPECT_EQ(scorer->report().value("tokens_without_pieces"), 1);
}

TEST(Ner, ReadsATextWithEntities) {
  auto task = make("{}");
  const Record row = record(
      R"({"text": "Zoë  met Bo", "entities": [{"start": 9, "end": 11, "label": "PER"}, {"start": 0, "end": 3, "label": "PER"}]})");
  task->learn(row);
  task->finish_learning();
  const Sample sample = task->encode(row, toy::ToyTokenizer(), true).at(0);
  EXPECT_THAT(sample.targets[0].values,
              ElementsAre(kNone, 1, kNone, 0, 1, kNone));  // Zoë is four bytes
  const Record plain = record(R"({"text": "Zoë  met Bo"})");
  std::vector<Row> rows = {{&sample, at::zeros({6, 3})}};
  rows[0].output[1][1] = 9;
  const Json result = task->decode(plain, rows, toy::ToyTokenizer());
  EXPECT_EQ(result["text"], "Zoë  met Bo");
  EXPECT_EQ(result["tokens"], Json::parse(R"(["Zoë", "met", "Bo"])"));
  EXPECT_EQ(result["entities"][0]["text"], "Zoë");
  EXPECT_EQ(result["entities"][0]["end"], 3);
}

TEST(Ner, ScoresTextsByCharacters) {
  const auto scorer = make("{}")->make_scorer();
  const Record row = record(
      R"({"text": "Ann met Bo", "entities": [{"start": 0, "end": 3, "label": "PER"}, {"start": 8, "end": 10, "label": "PER"}]})");
  scorer->add(
      row,
      Json::parse(
          R"({"entities": [{"start": 0, "end": 3, "label": "PER", "score": 0.9}, {"start": 4, "end": 7, "label": "LOC", "score": 0.8}]})"));
  const Report report = scorer->report();
  EXPECT_DOUBLE_EQ(report.value("precision"), 0.5);
  EXPECT_DOUBLE_EQ(report.value("recall"), 0.5);
  ASSERT_EQ(report.mistakes.size(), 2u);
  EXPECT_EQ(report.mistakes[0].predicted, "LOC \"met\"");
  EXPECT_EQ(report.mistakes[1].gold, "PER \"Bo\"");
}

TEST(Ner, ScoresByTheModeAskedFor) {
  const Record row = record(R"({"tokens": ["a", "b"], "tags": ["B-PER", "O"]})");
  for (const auto& [mode, f1] : {std::pair("default", 1.0), std::pair("strict", 0.0)}) {
    const auto scorer = make(std::string("scoring: ") + mode)->make_scorer();
    scorer->add(row, Json::parse(R"({"tags": ["I-PER", "O"]})"));
    EXPECT_DOUBLE_EQ(scorer->report().score, f1) << mode;
  }
}

TEST(Ner, SetsTypesAgainstEachOther) {
  const auto scorer = make("{}")->make_scorer();
  scorer->add(record(R"({"tokens": ["a", "b", "c"], "tags": ["B-PER", "B-PER", "O"]})"),
              Json::parse(R"({"tags": ["B-LOC", "O", "B-LOC"]})"));
  const Confusion confusion = *scorer->report().confusion;
  EXPECT_THAT(confusion.labels, ElementsAre("LOC", "PER", "(none)"));
  EXPECT_EQ(confusion.counts, (std::vector<std::vector<int64_t>>{{0, 0, 0}, {1, 0, 1}, {1, 0, 0}}));
}

TEST(Ner, NamesDefectsOfARow) {
  const auto task = trained();
  const auto encode = [&](const char* row) {
    return error_of([&] { task->encode(record(row, 5), toy::ToyTokenizer(), true); });
  };
  EXPECT_THAT(encode(R"({"tokens": ["a", "b"], "tags": ["O"]})"),
              HasSubstr("data.jsonl:5: \"tags\" has 1 entries but \"tokens\" has 2"));
  EXPECT_THAT(encode(R"({"tokens": [], "tags": []})"), HasSubstr("\"tokens\" is an empty list"));
  EXPECT_THAT(encode(R"({"tokens": ["a"], "tags": ["PER"]})"),
              AllOf(HasSubstr("\"PER\" (number 1)"), HasSubstr("B-TYPE")));
  EXPECT_THAT(encode(R"({"tokens": "a", "tags": ["O"]})"), HasSubstr("must be a list of strings"));
  EXPECT_THAT(encode(R"({"tokens": ["a", 3], "tags": ["O", "O"]})"), HasSubstr("entry 2 is 3"));
  EXPECT_THAT(encode(R"({"token": ["a"]})"), HasSubstr("did you mean \"token\""));
  EXPECT_THAT(encode(R"({"tokens": ["a"], "tags": ["B-LOK"]})"),
              AllOf(HasSubstr("entity type \"LOK\""), HasSubstr("did you mean \"LOC\"")));
}

TEST(Ner, NamesDefectsOfEntities) {
  auto task = make("{}");
  const auto learn = [&](const char* entities) {
    const std::string row = std::string(R"({"text": "Ann met Bo", "entities": )") + entities + "}";
    return error_of([&] { task->learn(record(row.c_str(), 5)); });
  };
  EXPECT_THAT(learn(R"([{"start": 0, "end": 11, "label": "X"}])"),
              HasSubstr("the text has 10 characters"));
  EXPECT_THAT(learn(R"([{"start": 3, "end": 3, "label": "X"}])"), HasSubstr("3 to 3"));
  EXPECT_THAT(
      learn(R"([{"start": 0, "end": 5, "label": "X"}, {"start": 4, "end": 7, "label": "Y"}])"),
      HasSubstr("overlap"));
  EXPECT_THAT(learn(R"([{"start": 0, "label": "X"}])"), HasSubstr("\"end\""));
  EXPECT_THAT(learn(R"([{"start": 0, "end": 3}])"), HasSubstr("\"label\""));
  EXPECT_THAT(learn(R"({"start": 0})"), HasSubstr("must be a list of entities"));
}

TEST(Ner, RefusesDataWithoutEntities) {
  auto task = make("{}");
  task->learn(record(R"({"tokens": ["a"], "tags": ["O"]})"));
  EXPECT_THAT(error_of([&] { task->finish_learning(); }), HasSubstr("no entity at all"));
}

TEST(Ner, CountsAnUnknownTypeAsMissedWhereAsked) {
  const auto task = trained("unknown_labels: count");
  EXPECT_THAT(task->encode(record(R"({"tokens": ["a", "b"], "tags": ["B-ORG", "O"]})"),
                           toy::ToyTokenizer(), true)
                  .at(0)
                  .targets[0]
                  .values,
              ElementsAre(kNone, kNone, 0, kNone));
}

TEST(Ner, PlacesAComplaintAboutAResultAtItsGoldRow) {
  const auto scorer = make("{}")->make_scorer();
  const Record gold = record(R"({"tokens": ["a", "b"], "tags": ["O", "O"]})", 8);
  EXPECT_THAT(error_of([&] { scorer->add(gold, Json::parse(R"({"tags": ["O"]})")); }),
              HasSubstr("data.jsonl:8: in the result for this row"));
  EXPECT_THAT(error_of([&] { scorer->add(gold, Json::parse("{}")); }),
              HasSubstr("no field \"tags\""));
}

TEST(Ner, RestoresWhatItLearned) {
  const auto task = trained("{stride: 3, scoring: strict}");
  const auto again = kInfo.restore(Json::parse(task->state().dump()));
  EXPECT_EQ(again->state(), task->state());
  EXPECT_THAT(static_cast<const Ner&>(*again).tags(),
              ElementsAre("O", "B-LOC", "I-LOC", "B-PER", "I-PER"));
}

TEST(Ner, RefusesAStrideAsLongAsTheWindow) {
  EXPECT_THAT(error_of([] { make("stride: 62", 64); }), HasSubstr("must be smaller"));
}

TEST(Ner, SumsTheLossOverTokensWithATag) {
  const auto task = trained();
  const std::vector<Sample> samples = task->encode(
      record(R"({"tokens": ["abcdef", "b"], "tags": ["O", "O"]})"), toy::ToyTokenizer(), true);
  const Loss loss = task->loss(at::zeros({5, 5}), collate(samples, {0}, 0));
  EXPECT_EQ(loss.count, 2);
  EXPECT_NEAR(loss.sum.item<double>(), 2 * std::log(5.0), 1e-5);
}

TEST(Characters, CountCodePoints) {
  const Characters characters("aé漢😀");
  EXPECT_EQ(characters.count(), 4);
  EXPECT_EQ(characters.byte(2), 3);
  EXPECT_EQ(characters.at_byte(3), 2);
  EXPECT_EQ(characters.at_byte(10), 4);
}

TEST(Align, WidensAnEntityToWholeTokens) {
  bool widened = false;
  const Characters characters("Rome's walls");
  const std::vector<TagSpan> spans =
      align({{"LOC", 0, 4}}, {{0, 6}, {7, 12}}, characters, &widened);
  EXPECT_EQ(spans, (std::vector<TagSpan>{{"LOC", 0, 1}}));
  EXPECT_TRUE(widened);
}

}  // namespace
}  // namespace hone::ner
