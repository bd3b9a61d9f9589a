#include "tasks/ner/ner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/clean.h"
#include "support/errors.h"
#include "tasks/ner/crf.h"
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
  const Json mistakes = report.json()["mistakes"];
  ASSERT_EQ(mistakes.size(), 2u);
  EXPECT_EQ(mistakes[0]["predicted"], "LOC \"met\"");
  EXPECT_EQ(mistakes[1]["gold"], "PER \"Bo\"");
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
  const Json confusion = scorer->report().json()["confusion"];
  EXPECT_EQ(confusion["labels"], Json({"LOC", "PER", "(none)"}));
  EXPECT_EQ(confusion["counts"], Json({{0, 0, 0}, {1, 0, 1}, {1, 0, 0}}));
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
  EXPECT_THAT(learn(R"([{"start": 3, "end": 3, "label": "X"}])"),
              AllOf(HasSubstr("3 to 3"), HasSubstr("empty"), HasSubstr("3 to 4")));
  EXPECT_THAT(learn(R"([{"start": 7, "end": 3, "label": "X"}])"),
              HasSubstr("ends before it begins"));
  EXPECT_THAT(learn(R"([{"start": -1, "end": 3, "label": "X"}])"), HasSubstr("-1 to 3"));
  EXPECT_THAT(learn(R"([{"start": 0, "end": 18446744073709551615, "label": "X"}])"),
              HasSubstr("a whole number \"end\""));
  EXPECT_THAT(learn(R"([{"start": 3, "end": 4, "label": "X"}])"),
              HasSubstr("nothing but white space"));
  EXPECT_THAT(learn(R"([{"start": 0, "end": 3, "label": " "}])"), HasSubstr("\"label\""));
  EXPECT_THAT(
      learn(R"([{"start": 0, "end": 5, "label": "X"}, {"start": 4, "end": 7, "label": "Y"}])"),
      HasSubstr("overlap"));
  EXPECT_THAT(learn(R"([{"start": 0, "label": "X"}])"), HasSubstr("\"end\""));
  EXPECT_THAT(learn(R"([{"start": 0, "end": 3}])"), HasSubstr("\"label\""));
  EXPECT_THAT(learn(R"({"start": 0})"), HasSubstr("must be a list of entities"));
}

TEST(Ner, TellsOffsetsOfOtherUnits) {
  auto task = make("{}");
  EXPECT_THAT(error_of([&] {
                task->learn(record(
                    R"({"text": "Zoë 😀", "entities": [{"start": 0, "end": 6, "label": "X"}]})"));
              }),
              AllOf(HasSubstr("the text has 5 characters"), HasSubstr("6 UTF-16 units"),
                    HasSubstr("9 bytes")));
}

// A record as cleaning leaves it.
Record cleaned(Record row) {
  SplitAudit audit;
  Cleaner cleaner({}, {"text"}, audit);
  EXPECT_TRUE(cleaner.accept(row));
  return row;
}

// Learns rows and encodes the first.
std::pair<std::unique_ptr<Task>, Sample> learned(const std::vector<Record>& rows) {
  auto task = make("{}");
  for (const Record& row : rows) {
    task->learn(row);
    task->learn_tokens(row, toy::ToyTokenizer());
  }
  task->finish_learning();
  Sample sample = task->encode(rows.front(), toy::ToyTokenizer(), true).at(0);
  return {std::move(task), std::move(sample)};
}

// Logits that say what the targets say.
Json echoed(const Task& task, const Record& row) {
  const Sample sample = task.encode(row, toy::ToyTokenizer(), true).at(0);
  at::Tensor logits = at::zeros({sample.size(), 9});
  for (int64_t i = 0; i < sample.size(); ++i) {
    if (sample.targets[0].values[i] != kNone)
      logits[i][static_cast<int64_t>(sample.targets[0].values[i])] = 20;
  }
  const auto classes = static_cast<int64_t>(static_cast<const Ner&>(task).tags().size());
  const std::vector<Row> rows = {{&sample, logits.slice(1, 0, classes).contiguous()}};
  return task.decode(row, rows, toy::ToyTokenizer());
}

double score_of(const Task& task, const Record& gold, const Json& result) {
  const auto scorer = task.make_scorer();
  scorer->add(gold, result);
  return scorer->report().score;
}

TEST(Ner, CountsInTheTextAsReadWhateverCleaningTookOut) {
  const char* json =
      R"({"text": "   Le\u0001na flew", "entities": [{"start": 3, "end": 8, "label": "PER"}]})";
  const Record as_read = record(json), row = cleaned(as_read);
  const auto [task, sample] = learned({row});
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kNone, 1, kNone, 0, kNone, kNone));
  EXPECT_EQ(sample.streams[0].offsets[1], (Span{3, 7}));  // "Le\x01n"
  const Json result = echoed(*task, row);
  EXPECT_EQ(result["text"], as_read.fields["text"]);
  EXPECT_EQ(result["entities"][0]["start"], 3);
  EXPECT_EQ(result["entities"][0]["end"], 8);
  EXPECT_EQ(result["entities"][0]["text"], "Le\x01na");
  EXPECT_EQ(score_of(*task, row, result), 1);
  EXPECT_EQ(score_of(*task, as_read, result), 1) << "hone score reads the file alone";
}

TEST(Ner, TakesBlanksAtTheEndsOfAnEntityForNoDifference) {
  const Record row = record(
      R"({"text": "yesterday Lena left", "entities": [{"start": 9, "end": 15, "label": "PER"}]})");
  const auto [task, sample] = learned({row});
  const Json result = echoed(*task, row);
  EXPECT_EQ(result["entities"][0]["text"], "Lena");
  EXPECT_EQ(score_of(*task, row, result), 1);
}

TEST(Ner, TagsPiecesWhereAnEntityEndsInsideAWord) {
  const Record row = record(
      R"({"text": "abc123 x", "entities": [{"start": 0, "end": 3, "label": "A"}, {"start": 3, "end": 6, "label": "B"}]})");
  const auto [task, sample] = learned({row});
  EXPECT_EQ(task->state()["by_pieces"], true);
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kNone, 1, 3, 0, kNone));
  EXPECT_EQ(sample.repair, "");
  const Json result = echoed(*task, row);
  EXPECT_EQ(result["tokens"], Json::parse(R"(["abc", "123", "x"])"));
  EXPECT_EQ(score_of(*task, row, result), 1);
}

TEST(Ner, TagsWordsWherePiecesSayNoMore) {
  const Record row = record(
      R"({"text": "abcd xy", "entities": [{"start": 0, "end": 2, "label": "A"}, {"start": 5, "end": 7, "label": "A"}]})");
  const auto [task, sample] = learned({row});
  EXPECT_EQ(task->state()["by_pieces"], false);
  EXPECT_THAT(sample.repair, AllOf(HasSubstr("at 0 to 2"), HasSubstr("learned as \"abcd\"")));
  const auto scorer = task->make_scorer();
  scorer->add(row, echoed(*task, row));
  EXPECT_EQ(scorer->report().value("unreachable_entities"), 1);
  EXPECT_EQ(scorer->report().score, 0.5);
}

TEST(Ner, KeepsAnEntityWholeAroundATokenWithoutPieces) {
  const Record row = record(
      R"({"tokens": ["Acme", "\u0001", "Corp", "\u0001", "x"], "tags": ["B-ORG", "I-ORG", "I-ORG", "O", "O"]})");
  const auto [task, sample] = learned({row});
  EXPECT_EQ(sample.repair, "");
  const Json result = echoed(*task, row);
  EXPECT_EQ(result["tags"], row.fields["tags"]);
  EXPECT_EQ(result["entities"][0]["score"], 1.0) << "the mean of those that have a probability";
  EXPECT_EQ(score_of(*task, row, result), 1);
}

TEST(Ner, BeginsAnEntityAtItsFirstTokenWithPieces) {
  const Record row = record(R"({"tokens": ["\u0001", "Corp"], "tags": ["B-ORG", "I-ORG"]})");
  const auto [task, sample] = learned({row});
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kNone, 1, kNone, kNone));
  EXPECT_THAT(sample.repair, HasSubstr("tokens 0 to 2"));
  const auto scorer = task->make_scorer();
  scorer->add(row, echoed(*task, row));
  EXPECT_EQ(scorer->report().value("unreachable_entities"), 1);
}

TEST(Ner, ScoresAnySchemeAgainstItselfAndAgainstIob2) {
  const std::vector<std::pair<const char*, const char*>> schemes = {
      {"IOB1", R"(["I-X", "I-X", "B-X", "O", "I-Y"])"},
      {"IOB2", R"(["B-X", "I-X", "B-X", "O", "B-Y"])"},
      {"IOE2", R"(["I-X", "E-X", "E-X", "O", "E-Y"])"},
      {"BIOES", R"(["B-X", "E-X", "S-X", "O", "S-Y"])"},
      {"BMES", R"(["B-X", "E-X", "S-X", "O", "S-Y"])"},
      {"BMEWO", R"(["B-X", "E-X", "W-X", "O", "W-Y"])"},
      {"BILOU", R"(["B-X", "L-X", "U-X", "O", "U-Y"])"}};
  const auto scored = [](const char* gold, const char* predicted) {
    const auto scorer = make("{}")->make_scorer();
    scorer->add({Json{{"tokens", {"a", "b", "c", "d", "e"}}, {"tags", Json::parse(gold)}}, nullptr},
                Json{{"tags", Json::parse(predicted)}});
    return scorer->report();
  };
  for (const auto& [name, tags] : schemes) {
    for (const auto& [other, other_tags] : {std::pair(name, tags), schemes[1]}) {
      const Report report = scored(tags, other_tags);
      EXPECT_EQ(report.value("accuracy"), 1) << name << " against " << other;
      EXPECT_EQ(report.score, 1) << name << " against " << other;
    }
  }
}

TEST(Ner, CountsTheSameRightTagsWhicheverSchemeGoldIsWrittenIn) {
  const auto accuracy = [](const Json& gold, const Json& predicted) {
    const auto scorer = make("{}")->make_scorer();
    scorer->add({Json{{"tokens", {"a", "b", "c"}}, {"tags", gold}}, nullptr},
                Json{{"tags", predicted}});
    return scorer->report().value("accuracy");
  };
  const Json iob1 = {"I-X", "I-X", "O"},
             iob2 = {"B-X", "I-X", "O"};  // as the CoNLL reader gives it
  for (const Json& predicted :
       {iob1, iob2, Json{"I-X", "O", "O"}, Json{"O", "I-X", "I-X"}, Json{"B-X", "B-X", "O"}})
    EXPECT_EQ(accuracy(iob1, predicted), accuracy(iob2, predicted)) << predicted;
  EXPECT_DOUBLE_EQ(accuracy(iob2, {"I-X", "O", "O"}), 2.0 / 3);
}

TEST(Ner, RefusesEntitiesOfAResultThatAreNotInTheText) {
  const auto scorer = make("{}")->make_scorer();
  const Record gold = record(R"({"text": "Ann met Bo", "entities": []})", 8);
  const auto add = [&](const char* result) {
    return error_of([&] { scorer->add(gold, Json::parse(result)); });
  };
  for (const char* bounds : {R"("start": -5, "end": 3)", R"("start": 5, "end": 300)"}) {
    EXPECT_THAT(add((std::string(R"({"entities": [{"label": "X", )") + bounds + "}]}").c_str()),
                AllOf(HasSubstr("data.jsonl:8: in the result for this row"), HasSubstr("at ")));
  }
  EXPECT_THAT(
      add(R"({"entities": [{"label": "X", "start": 0, "end": 3}, {"label": "X", "start": 0, "end": 3}]})"),
      HasSubstr("overlap"));
  EXPECT_THAT(add(R"({"text": " Ann met Bo", "entities": []})"), HasSubstr("another text"));
}

TEST(Ner, TakesLabelsWithoutTheBlanksAroundThem) {
  auto task = make("{}");
  task->learn(
      record(R"({"text": "a", "entities": [{"start": 0, "end": 1, "label": " Lieu\u0301 "}]})"));
  task->learn(record(R"({"tokens": ["a", "b"], "tags": ["B-X ", " O"]})"));
  task->finish_learning();
  EXPECT_THAT(static_cast<const Ner&>(*task).tags(),
              ElementsAre("O", "B-Lieu\u0301", "I-Lieu\u0301", "B-X", "I-X"));
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

// The plain loss of tokens whose tag is `tags`, weighted as `rows` tokens of each tag say, with
// τ = 0.7 and γ = 2.
double balanced_by_hand(const at::Tensor& logits, const std::vector<int64_t>& tags,
                        const std::vector<double>& rows) {
  double all = 0, shares = 0, classes = 0, sum = 0;
  for (const double count : rows) {
    all += count;
    shares += std::max(count, 1.0);  // a tag without tokens counts as one with one
    classes += count > 0;
  }
  for (size_t i = 0; i < tags.size(); ++i) {
    if (tags[i] < 0) continue;
    const auto gold = static_cast<size_t>(tags[i]);
    std::vector<double> scores;
    double total = 0;
    for (size_t tag = 0; tag < rows.size(); ++tag) {
      const double logit =
          logits[static_cast<int64_t>(i)][static_cast<int64_t>(tag)].item<double>();
      scores.push_back(std::exp(logit + 0.7 * std::log(std::max(rows[tag], 1.0) / shares)));
      total += scores.back();
    }
    const double p = scores[gold] / total;
    sum += all / (classes * rows[gold]) * (1 - p) * (1 - p) * -std::log(p);
  }
  return sum;
}

constexpr const char* kBalanced =
    "{class_weights: balanced, logit_adjustment: 0.7, focal_gamma: 2}";

TEST(NerBalance, CountsTagsByTheTokensThatCarryThem) {
  const auto task = make(kBalanced), plain = make("{}");
  const std::vector<Record> rows = {
      record(
          R"({"tokens": ["Annabel", "of", "Rome", "\u0001"], "tags": ["B-PER", "O", "B-LOC", "O"]})"),
      record(R"({"tokens": ["a", "b"], "tags": ["O", "O"]})")};
  for (Task* learner : {task.get(), plain.get()}) {
    for (const Record& row : rows) {
      learner->learn(row);
      learner->learn_tokens(row, toy::ToyTokenizer());
    }
    learner->finish_learning();
  }
  const Batch batch = collate(task->encode(rows[0], toy::ToyTokenizer(), true), {0}, 0);
  const at::Tensor logits = at::randn({8, 5});  // [CLS] Ann abe l of Rom e [SEP]
  const Loss trained = task->loss(logits, batch, {.trains = true});
  const double expected = balanced_by_hand(logits, {-1, 3, -1, -1, 0, 1, -1, -1}, {3, 1, 0, 1, 0});
  EXPECT_NEAR(trained.sum.item<double>(), expected, 1e-5 * expected);
  EXPECT_EQ(trained.count, 3);
  EXPECT_NEAR(task->loss(logits, batch).sum.item<double>(),
              plain->loss(logits, batch).sum.item<double>(), 1e-6)
      << "an evaluation's loss is the plain one";
}

TEST(NerBalance, CountsSubWordsWhereTheyCarryTheTags) {
  const Record row = record(
      R"({"text": "abc123 x", "entities": [{"start": 0, "end": 3, "label": "A"}, {"start": 3, "end": 6, "label": "A"}]})");
  const auto task = make(kBalanced);
  task->learn(row);
  task->learn_tokens(row, toy::ToyTokenizer());
  task->finish_learning();
  ASSERT_EQ(task->state()["by_pieces"], true);
  const Batch batch = collate(task->encode(row, toy::ToyTokenizer(), true), {0}, 0);
  const at::Tensor logits = at::randn({5, 3});
  const double expected = balanced_by_hand(logits, {-1, 1, 1, 0, -1}, {1, 2, 0});
  EXPECT_NEAR(task->loss(logits, batch, {.trains = true}).sum.item<double>(), expected,
              1e-5 * expected);
}

TEST(NerBalance, IsNoneOfAChainAndRefusesWhatCannotBe) {
  EXPECT_THAT(error_of([] { make("{crf: true, focal_gamma: 2}"); }),
              AllOf(HasSubstr("run.yaml:1:"), HasSubstr("learned as a chain")));
  EXPECT_THAT(error_of([] { make("{logit_adjustment: -1}"); }), HasSubstr("from 0 to 100"));
  EXPECT_THAT(error_of([] { make("{class_weights: balancd}"); }), HasSubstr("\"balanced\""));
}

// Logits of a task with a CRF, and a table that has learned nothing yet.
Outputs with_table(const Task& task, const at::Tensor& logits) {
  return {{logits, RowOf::kToken},
          {Transitions(static_cast<const Ner&>(task).tags()).table().detach(), RowOf::kBatch}};
}

TEST(NerCrf, SumsChainsAndCountsTokens) {
  const auto task = trained("crf: true");
  const std::vector<Sample> samples = task->encode(
      record(R"({"tokens": ["Ann", "of"], "tags": ["B-PER", "O"]})"), toy::ToyTokenizer(), true);
  const Loss loss = task->loss(with_table(*task, at::zeros({4, 5})), collate(samples, {0}, 0));
  EXPECT_EQ(loss.count, 2);
  // Of two tokens three tags may begin; O goes on in 3 ways, a B- in 4.
  EXPECT_NEAR(loss.sum.item<double>(), std::log(3.0 + 4 + 4), 1e-5);
}

TEST(NerCrf, AnswersOnlyWhatTagsCanSay) {
  const auto task = trained("crf: true");
  const Record row = record(R"({"tokens": ["Ann", "Lee", "of"]})");
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  at::Tensor logits = at::zeros({5, 5});
  logits[1][4] = 5;  // I-PER, where nothing has begun
  logits[1][3] = 4;
  logits[2][4] = 5;
  logits[3][0] = 5;
  const Outputs outputs = with_table(*task, logits);
  const Json result =
      task->decode(row, std::vector<Row>{{&samples[0], logits, {outputs[1]}}}, toy::ToyTokenizer());
  EXPECT_EQ(result["tags"], Json({"B-PER", "I-PER", "O"}));
  const double score = result["entities"][0]["score"];
  EXPECT_GT(score, 0.9);
  EXPECT_LT(score, 1);
}

TEST(NerCrf, BeginsAndEndsAChainWhereTheTextDoes) {
  const auto task = trained("{crf: true, stride: 1}", 5);  // windows of three words
  const std::vector<Sample> samples = task->encode(
      record(R"({"tokens": ["a", "b", "c", "d", "e"], "tags": ["O", "O", "O", "O", "O"]})"),
      toy::ToyTokenizer(), true);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_THAT(samples[0].targets.at(1).values, ElementsAre(1, 0));
  EXPECT_THAT(samples[1].targets.at(1).values, ElementsAre(0, 1));
  const Loss loss = task->loss(with_table(*task, at::zeros({10, 5})), collate(samples, {0, 1}, 0));
  EXPECT_EQ(loss.count, 5);
}

TEST(NerCrf, SmoothsOverTheChainsThatMayBe) {
  const auto task = trained("crf: true");
  const std::vector<Sample> samples =
      task->encode(record(R"({"tokens": ["Ann"], "tags": ["B-PER"]})"), toy::ToyTokenizer(), true);
  at::Tensor logits = at::zeros({3, 5});
  logits[1] = at::tensor({1.0F, 0.0F, 0.0F, 5.0F, 0.0F});
  const Batch batch = collate(samples, {0}, 0);
  const auto loss = [&](double smoothing) {
    return task->loss(with_table(*task, logits), batch, {.label_smoothing = smoothing})
        .sum.item<double>();
  };
  // The lower the tag's own share, the greater the loss of an answer that is sure of it.
  EXPECT_GT(loss(0.2), loss(0.1));
  EXPECT_NEAR(loss(0.2) - loss(0.1), loss(0.1) - loss(0), 1e-5);
  EXPECT_LT(loss(0.1), loss(0) + 1);  // chains that never happen have no share
}

TEST(NerCrf, HasNoDivergence) { EXPECT_FALSE(trained("crf: true")->divergence()); }

TEST(Ner, NamesTheTaskForEntitiesThatOverlap) {
  const auto task = make("{}");
  EXPECT_THAT(error_of([&] {
                task->learn(record(R"({"text": "bank of oslo", "entities": [
                    {"start": 0, "end": 12, "label": "ORG"},
                    {"start": 8, "end": 12, "label": "LOC"}]})",
                                   7));
              }),
              AllOf(HasSubstr("data.jsonl:7"), HasSubstr("overlap"), HasSubstr("nested_ner")));
}

TEST(Characters, CountCodePoints) {
  const Characters characters("aé漢😀");
  EXPECT_EQ(characters.count(), 4);
  EXPECT_EQ(characters.byte(2), 3);
  EXPECT_EQ(characters.at_byte(3), 2);
  EXPECT_EQ(characters.at_byte(10), 4);
}

TEST(Align, WidensAnEntityToWholeTokensAndSaysSo) {
  const Alignment alignment =
      align({{"LOC", 0, 4}, {"X", 4, 6}, {"Y", 7, 12}}, {{0, 6}, {7, 12}}, "Rome's walls");
  EXPECT_EQ(alignment.spans, (std::vector<TagSpan>{{"LOC", 0, 1}, {"Y", 1, 2}}));
  ASSERT_EQ(alignment.misfits.size(), 2u);
  EXPECT_EQ(alignment.misfits[0].aligned, "Rome's");
  EXPECT_EQ(alignment.misfits[1].entity.label, "X");
  EXPECT_EQ(alignment.misfits[1].aligned, "");
}

}  // namespace
}  // namespace hone::ner
