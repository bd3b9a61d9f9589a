#include "tasks/qa/qa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/clean.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tasks/qa/gold.h"
#include "tasks/toy.h"

namespace hone::qa {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;
using toy::record;

constexpr float kNone = kNoTarget;

std::unique_ptr<Task> make(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

// Has seen a question without an answer.
std::unique_ptr<Task> may_lack(const std::string& yaml = "{}", int64_t longest = 64) {
  auto task = make(yaml, longest);
  task->learn(record(R"({"question": "q", "context": "a b", "answers": ["b"]})"));
  task->learn(record(R"({"question": "q", "context": "a b", "answers": []})"));
  task->finish_learning();
  return task;
}

std::vector<std::string> texts_of(const char* answers) {
  std::vector<std::string> texts;
  const Record row = record(R"({"answers": 0})");
  for (const Answer& a : answers_of(Json::parse(answers), row, Options()))
    texts.push_back(a.text + (a.start ? "@" + std::to_string(*a.start) : ""));
  return texts;
}

TEST(QaGold, ReadsAnswersInTheFormsThatDataSetsHave) {
  EXPECT_THAT(texts_of(R"({"text": ["a", "b"], "answer_start": [3, 0]})"),
              ElementsAre("a@3", "b@0"));
  EXPECT_THAT(texts_of(R"([{"text": "a", "answer_start": 3}, {"text": "b"}])"),
              ElementsAre("a@3", "b"));
  EXPECT_THAT(texts_of(R"(["a", "b"])"), ElementsAre("a", "b"));
  EXPECT_THAT(texts_of(R"("a")"), ElementsAre("a"));
  for (const char* none : {R"("")", "[]", R"({"text": [], "answer_start": []})"})
    EXPECT_THAT(texts_of(none), ElementsAre()) << none;
}

TEST(QaGold, SaysWhatIsWrongWithAnswers) {
  const auto error = [](const char* answers) { return error_of([&] { texts_of(answers); }); };
  EXPECT_THAT(error("7"), AllOf(StartsWith("data.jsonl:1: \"answers\""), HasSubstr("but is 7")));
  EXPECT_THAT(error(R"([""])"), HasSubstr("an answer without text"));
  EXPECT_THAT(error(R"([{"answer_start": 1}])"), HasSubstr("needs a \"text\""));
  EXPECT_THAT(error(R"([{"text": "a", "answer_start": "1"}])"), HasSubstr("whole numbers"));
  EXPECT_THAT(error(R"({"text": ["a"], "answer_start": []})"), HasSubstr("1 texts, but 0 numbers"));
  EXPECT_THAT(error(R"({"answer_start": [1]})"), HasSubstr("needs a list \"text\""));
}

TEST(QaGold, TakesATextThatStandsForNoAnswer) {
  Options options;
  options.no_answer = "NONE";
  const Record row = record(R"({"answers": ["NONE"]})");
  EXPECT_TRUE(answers_of(row, options).empty());
}

std::string repair_of(const char* text, std::optional<int64_t> start, const std::string& context) {
  const Located located = locate({text, start}, context);
  return (located.bytes ? std::to_string(located.bytes->start) : "none") + " " + located.repair;
}

TEST(QaGold, FindsAnswersThatAreNotWhereTheySayTheyAre) {
  const std::string context = "🙂 Zoë met Bo. Bo left.";
  EXPECT_EQ(repair_of("met", 6, context), "10 ");  // characters, not bytes
  EXPECT_THAT(repair_of("met", 7, context),
              AllOf(StartsWith("10 the answer \"met\" does not stand at 7 but at 6"),
                    HasSubstr("its only place")));
  EXPECT_EQ(repair_of("met", std::nullopt, context), "10 ");
  for (const int64_t wrong : {int64_t{-1}, int64_t{99}, std::numeric_limits<int64_t>::max()})
    EXPECT_THAT(repair_of("left", wrong, context), HasSubstr("but at 17")) << wrong;
  EXPECT_THAT(repair_of("Bo", 0, context),
              AllOf(StartsWith("none"), HasSubstr("at 2 places of the text")));
  EXPECT_THAT(repair_of("Ann", 0, context),
              AllOf(StartsWith("none"), HasSubstr("stands nowhere in the text")));
}

TEST(Qa, LearnsTheFirstAnswerThatStandsInTheText) {
  const auto task = make();
  const Record row = record(R"({"question": "who", "context": "ab Bob cd", )"
                            R"("answers": {"text": ["Al", "Bob"], "answer_start": [0, 3]}})");
  const Sample sample = task->encode(row, toy::ToyTokenizer(), true).at(0);
  // [CLS] who [SEP] ab Bob cd [SEP]
  EXPECT_THAT(sample.streams[0].texts, ElementsAre(-1, 0, -1, 1, 1, 1, -1));
  EXPECT_EQ(sample.targets[0].name, "start");
  EXPECT_THAT(sample.targets[0].values, ElementsAre(4));
  EXPECT_THAT(sample.targets[1].values, ElementsAre(4));
  EXPECT_THAT(sample.repair, HasSubstr("\"Al\" does not stand at 0"));
}

// Starts and ends of all windows.
std::vector<std::pair<float, float>> targets_of(const std::vector<Sample>& samples) {
  std::vector<std::pair<float, float>> all;
  for (const Sample& s : samples)
    all.emplace_back(s.targets[0].values.at(0), s.targets[1].values.at(0));
  return all;
}

TEST(Qa, HasATargetInEachWindowThatHoldsTheAnswer) {
  const auto task = make("stride: 2", 8);  // four pieces of the context in a window
  const auto targets = [&](const char* answer, std::string* repair = nullptr) {
    Record row = record(R"({"question": "q", "context": "a b c d e f g h"})");
    row.fields["answers"] = {answer};
    const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), true);
    if (repair != nullptr) *repair = samples[0].repair;
    return targets_of(samples);
  };
  using Targets = std::vector<std::pair<float, float>>;
  EXPECT_EQ(targets("d"), (Targets{{6, 6}, {4, 4}, {0, 0}}));
  EXPECT_EQ(targets("b c"), (Targets{{4, 5}, {kNone, kNone}, {0, 0}}));
  std::string repair;
  EXPECT_EQ(targets("a b c d e", &repair),
            (Targets{{kNone, kNone}, {kNone, kNone}, {kNone, kNone}}));
  EXPECT_THAT(repair, HasSubstr("no window holds it"));
}

TEST(Qa, CutsWithinAWordThatIsASentence) {
  const std::vector<Sample> samples =
      make("stride: 2", 8)
          ->encode(
              record(
                  R"({"question": "q", "context": "aaabbbcccdddeeefff", "answers": ["dddeee"]})"),
              toy::ToyTokenizer(), true);
  EXPECT_EQ(targets_of(samples), (std::vector<std::pair<float, float>>{{kNone, kNone}, {4, 5}}));
}

TEST(Qa, AimsAtTheFirstTokenWhereThereIsNoAnswer) {
  const std::vector<Sample> samples =
      make("stride: 0", 8)
          ->encode(record(R"({"question": "q", "context": "a b c d e", "answers": []})"),
                   toy::ToyTokenizer(), true);
  EXPECT_EQ(targets_of(samples), (std::vector<std::pair<float, float>>{{0, 0}, {0, 0}}));
}

TEST(Qa, HasNoTargetForWhatStandsNowhere) {
  const std::vector<Sample> samples =
      make()->encode(record(R"({"question": "q", "context": "a b", "answers": ["c"]})"),
                     toy::ToyTokenizer(), true);
  EXPECT_EQ(targets_of(samples), (std::vector<std::pair<float, float>>{{kNone, kNone}}));
  EXPECT_THAT(samples[0].repair, HasSubstr("stands nowhere"));
}

TEST(Qa, TellsOfAnAnswerThatEndsInsideAToken) {
  const std::vector<Sample> samples =
      make()->encode(record(R"({"question": "q", "context": "a 10km b", "answers": ["10"]})"),
                     toy::ToyTokenizer(), true);
  EXPECT_THAT(samples[0].repair,
              HasSubstr("begins or ends inside a token, and is learned as \"10k\""));
}

TEST(Qa, CutsAQuestionThatIsLongerThanTheWindow) {
  const auto task = make("{}", 11);  // eight pieces beside the special ones
  bool truncated = false;
  const std::vector<Sample> samples = task->encode(
      record(
          R"({"question": "a b c d e f g h i j k l m n", "context": "x y z", "answers": ["z"]})"),
      toy::ToyTokenizer(), true, &truncated);
  EXPECT_TRUE(truncated);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].size(), 10);  // four of the question
  EXPECT_EQ(targets_of(samples), (std::vector<std::pair<float, float>>{{8, 8}}));
}

TEST(Qa, AnswersForEmptyTextsThatThereIsNoAnswer) {
  for (const char* fields :
       {R"({"question": "", "context": ""})", R"({"question": "q", "context": ""})"}) {
    const auto task = make();
    const Record row = record(fields);
    const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
    ASSERT_EQ(samples.size(), 1u);
    const std::vector<Row> rows = {{&samples[0], at::zeros({samples[0].size(), 2})}};
    const Json result = task->decode(row, rows, toy::ToyTokenizer());
    EXPECT_EQ(result["answers"], Json::parse(R"({"text": [], "answer_start": []})"));
    EXPECT_EQ(result["score"], 1.0);
  }
}

// The answer to rows whose logits are `high` at (window, token, column).
struct High {
  int window, token, column;
  float value;
};
Json decoded(const Task& task, const Record& row, const std::vector<High>& high) {
  const std::vector<Sample> samples = task.encode(row, toy::ToyTokenizer(), false);
  std::vector<Row> rows;
  for (const Sample& sample : samples) rows.push_back({&sample, at::zeros({sample.size(), 2})});
  for (const High& h : high) rows[h.window].output[h.token][h.column] = h.value;
  return task.decode(row, rows, toy::ToyTokenizer());
}

TEST(Qa, AnswersWithTheBestSpanOfAllWindows) {
  const auto task = make("stride: 2", 8);
  // Windows "a b c d", "c d e f", "e f"; the context begins at token 3.
  const Record row = record(R"({"question": "q", "context": "ä b c d e f"})");
  const Json result =
      decoded(*task, row, {{0, 3, 0, 5}, {0, 4, 1, 4}, {1, 4, 0, 6}, {1, 5, 1, 6}, {1, 3, 1, 9}});
  EXPECT_EQ(result["answers"], Json::parse(R"({"text": ["d e"], "answer_start": [6]})"));
  EXPECT_EQ(result["candidates"][1]["text"], "ä b");
  EXPECT_FALSE(result.contains("no_answer_margin"));  // training had no question without an answer
}

TEST(Qa, NeverAnswersBackwardsLongerThanAskedOrFromTheQuestion) {
  const auto task = make("max_answer_length: 2");
  const Record row = record(R"({"question": "q", "context": "a b c d"})");
  // The ends lie before the start, too far behind it, and in the question.
  const Json result =
      decoded(*task, row, {{0, 4, 0, 9}, {0, 3, 1, 5}, {0, 6, 1, 10}, {0, 1, 1, 30}, {0, 5, 1, 2}});
  EXPECT_EQ(result["answers"]["text"], Json::parse(R"(["b c"])"));
}

TEST(Qa, ListsAPlaceThatTwoWindowsHoldOnce) {
  const auto task = make("{stride: 2, n_best: 3}", 8);
  const Record row = record(R"({"question": "q", "context": "a b c d e f"})");
  const Json result = decoded(*task, row, {{0, 5, 0, 5}, {0, 5, 1, 5}, {1, 3, 0, 5}, {1, 3, 1, 5}});
  std::vector<std::string> texts;
  for (const Json& c : result["candidates"]) texts.push_back(c["text"]);
  EXPECT_EQ(texts.size(), 3u);
  EXPECT_EQ(std::count(texts.begin(), texts.end(), "c"), 1);
}

// A tokenizer may make tokens of blanks: here one of U+3000, which no answer is made of.
TEST(Qa, NeverAnswersWithWhatCannotBeSeen) {
  const auto task = make();
  Record row = record("{\"question\": \"q\", \"context\": \"a \\u3000 b\"}");
  const Json result = decoded(*task, row, {{0, 4, 0, 9}, {0, 4, 1, 9}, {0, 5, 1, 5}});
  EXPECT_EQ(result["answers"], Json::parse(R"({"text": ["b"], "answer_start": [4]})"));
  std::vector<std::string> texts;
  for (const Json& c : result["candidates"]) texts.push_back(c["text"]);
  EXPECT_EQ(texts, (std::vector<std::string>{"b", "a", "a \u3000 b"}));  // "b" of both cuts once
  row.fields["answers"] = {"b"};
  const auto scorer = task->make_scorer();
  scorer->add(row, result);
  EXPECT_EQ(scorer->report().value("exact_match"), 1);
}

TEST(Qa, HasNoAnswerWhereNothingOfTheContextCanBeSeen) {
  const auto task = make();
  Record row = record("{\"question\": \"q\", \"context\": \"\\u3000\"}");
  const Json result = decoded(*task, row, {});
  EXPECT_EQ(result["answers"]["text"], Json::array());
  row.fields["answers"] = {"b"};
  const auto scorer = task->make_scorer();
  scorer->add(row, result);
  EXPECT_EQ(scorer->report().value("exact_match"), 0);
}

TEST(Qa, GivesNoAnswerWhereThatIsLikelierByMoreThanTheThreshold) {
  const Record row = record(R"({"question": "q", "context": "a b c"})");
  const std::vector<High> high = {{0, 0, 0, 4}, {0, 0, 1, 4}, {0, 3, 0, 3}, {0, 3, 1, 3}};
  const Json none = decoded(*may_lack(), row, high);
  EXPECT_EQ(none["answers"]["text"], Json::array());
  EXPECT_EQ(none["no_answer_margin"], 2.0);
  EXPECT_EQ(none["candidates"][0]["text"], "");
  EXPECT_EQ(none["candidates"][0]["score"], none["score"]);
  EXPECT_EQ(decoded(*may_lack("no_answer_threshold: 2"), row, high)["answers"]["text"],
            Json::parse(R"(["a"])"));
  EXPECT_EQ(decoded(*make(), row, high)["answers"]["text"], Json::parse(R"(["a"])"));
}

// That there is no answer is believed as far as the window that speaks most against it.
TEST(Qa, TakesTheLeastLikelyNoAnswerOfAllWindows) {
  const Record row = record(R"({"question": "q", "context": "a b c d e"})");
  const Json result = decoded(*may_lack("stride: 0", 8), row, {{0, 0, 0, 9}, {1, 0, 0, 1}});
  EXPECT_EQ(result["no_answer_margin"], 1.0);
}

TEST(Qa, CountsInTheTextAsItWasRead) {
  Record row = record(R"({"question": "q", "context": "  \u0007a b ", )"
                      R"("answers": [{"text": "b", "answer_start": 5}]})");
  SplitAudit audit;
  Cleaner({}, {"question", "context"}, audit).accept(row);
  ASSERT_EQ(row.fields["context"], "a b");
  const auto task = make();
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), true);
  EXPECT_EQ(targets_of(samples), (std::vector<std::pair<float, float>>{{4, 4}}));
  EXPECT_EQ(samples[0].repair, "");
  EXPECT_EQ(decoded(*task, row, {{0, 4, 0, 5}, {0, 4, 1, 5}})["answers"],
            Json::parse(R"({"text": ["b"], "answer_start": [5]})"));
}

TEST(Qa, RefusesTrainingDataThatTeachesNothing) {
  const auto error = [](const char* row) {
    return error_of([&] {
      const auto task = make();
      task->learn(record(row));
      task->finish_learning();
    });
  };
  EXPECT_THAT(error(R"({"question": "q", "context": "a", "answers": []})"),
              HasSubstr("no question of the training data has an answer"));
  EXPECT_THAT(error(R"({"question": "q", "context": "a", "answers": ["b"]})"),
              HasSubstr("no answer of the training data stands in its text"));
}

TEST(Qa, SaysThatAThresholdIsIdleWhereEveryQuestionHasAnAnswer) {
  const auto task = make("no_answer_threshold: 1");
  task->learn(record(R"({"question": "q", "context": "a", "answers": ["a"]})"));
  task->finish_learning();
  EXPECT_EQ(task->idle_options().size(), 1u);
  EXPECT_TRUE(may_lack("no_answer_threshold: 1")->idle_options().empty());
}

TEST(Qa, GoesOnWithTheHeadOfAQuestionAnsweringCheckpoint) {
  const testing_support::TemporaryFolder folder;
  testing_support::write_tiny_bert(folder.path());
  ModelConfig config = ModelConfig::load(folder.path());
  const auto task = make();
  EXPECT_FALSE(task->can_continue(config));
  config.raw["architectures"] = {"BertForQuestionAnswering"};
  EXPECT_TRUE(task->can_continue(config));  // two labels are what Transformers goes by
  config.raw["id2label"] = {{"0", "a"}, {"1", "b"}, {"2", "c"}};
  EXPECT_FALSE(task->can_continue(config));
}

// ---- scores

Record gold(const char* answers) {
  Record row = record(R"({"question": "q", "context": "a b c"})");
  row.fields["answers"] = Json::parse(answers);
  return row;
}

Json answer(const std::string& text, double margin, const std::string& best) {
  return {{"answers", text.empty() ? Json::array() : Json{text}},
          {"score", 0.5},
          {"no_answer_margin", margin},
          {"candidates", {{{"text", ""}}, {{"text", best}}}}};
}

TEST(QaScorer, TakesTheBestOfSeveralGoldAnswers) {
  const auto scorer = make()->make_scorer();
  scorer->add(gold(R"(["the cat sat", "a dog"])"), answer("Cat", 0, ""));
  const Report report = scorer->report();
  EXPECT_EQ(report.value("exact_match"), 0);
  EXPECT_NEAR(report.value("f1"), 2.0 / 3, 1e-12);
  EXPECT_EQ(report.sections.size(), 2u);  // calibration and mistakes
}

TEST(QaScorer, TellsWhatTheBestThresholdWouldGive) {
  const auto scorer = make()->make_scorer();
  scorer->add(gold("[]"), answer("x", 1.5, "x"));
  scorer->add(gold(R"(["y"])"), answer("", 0.5, "y"));
  scorer->add(gold(R"(["z"])"), answer("z", -3, "z"));
  scorer->add(gold("[]"), answer("", 2, "u"));
  const Report report = scorer->report();
  EXPECT_NEAR(report.value("f1"), 0.5, 1e-12);
  EXPECT_NEAR(report.value("answered_f1"), 0.5, 1e-12);
  EXPECT_NEAR(report.value("unanswerable_accuracy"), 0.5, 1e-12);
  EXPECT_NEAR(report.value("best_f1"), 1, 1e-12);
  EXPECT_NEAR(report.value("best_threshold"), 0.5, 1e-12);
  EXPECT_NEAR(*report.named("f1").baseline, 0.5, 1e-12);
}

TEST(QaScorer, AnswersQuestionsOfEqualMarginsTogether) {
  const auto scorer = make()->make_scorer();
  scorer->add(gold(R"(["y"])"), answer("", 0.5, "y"));
  scorer->add(gold("[]"), answer("", 0.5, "x"));
  scorer->add(gold("[]"), answer("", 0.5, "x"));
  const Report report = scorer->report();  // no threshold parts them: the best answers none
  EXPECT_NEAR(report.value("best_f1"), 2.0 / 3, 1e-12);
  EXPECT_LT(report.value("best_threshold"), 0.5);
}

// The report of three questions: a, sure and right; b, right by a margin of 0.75; none, wrongly
// answered by one of 2.
Report validation(const Task& task) {
  const auto scorer = task.make_scorer();
  scorer->add(gold(R"(["a"])"), answer("a", -2, "a"));
  scorer->add(gold(R"(["b"])"), answer("", 0.75, "b"));
  scorer->add(gold("[]"), answer("", 2, "c"));
  return scorer->report();
}

TEST(Qa, TakesTheThresholdThatIsBestOnValidationData) {
  const auto task = may_lack();
  EXPECT_THAT(task->open_options(), ElementsAre("no_answer_threshold"));
  EXPECT_EQ(task->state()["options"]["no_answer_threshold"], "auto");
  const std::vector<ChosenOption> chosen = task->choose_options(validation(*task));
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(chosen[0].value, 0.75);
  EXPECT_EQ(chosen[0].score, 1);
  EXPECT_NEAR(chosen[0].usual, 2.0 / 3, 1e-12);
  EXPECT_TRUE(task->open_options().empty());
  EXPECT_EQ(task->state()["options"]["no_answer_threshold"], 0.75);
  const auto again = kInfo.restore(task->state());  // a margin of just this is an answer still
  const Record row = record(R"({"question": "q", "context": "a b"})");
  EXPECT_EQ(decoded(*again, row, {{0, 0, 0, 0.75}})["answers"]["text"], Json::parse(R"(["a"])"));
  EXPECT_TRUE(decoded(*again, row, {{0, 0, 0, 0.76F}})["answers"]["text"].empty());
}

TEST(Qa, KeepsAThresholdThatIsGivenAndOneThatCannotBeChosen) {
  const auto given = may_lack("no_answer_threshold: 0.25");
  EXPECT_TRUE(given->open_options().empty());
  EXPECT_TRUE(given->choose_options(validation(*given)).empty());
  EXPECT_EQ(given->state()["options"]["no_answer_threshold"], 0.25);
  EXPECT_TRUE(make()->open_options().empty());  // no question lacks an answer
  const auto open = may_lack();
  const auto scorer = open->make_scorer();
  scorer->add(gold(R"(["a"])"), answer("a", -2, "a"));
  EXPECT_TRUE(open->choose_options(scorer->report()).empty());
  EXPECT_FALSE(open->open_options().empty());
}

TEST(QaScorer, NamesTheRowOfAResultThatIsNone) {
  const auto scorer = make()->make_scorer();
  EXPECT_THAT(error_of([&] { scorer->add(gold("[]"), Json::parse(R"({"answer": "x"})")); }),
              AllOf(StartsWith("data.jsonl:1"), HasSubstr("answers")));
  EXPECT_THAT(error_of([&] { scorer->add(gold("[]"), Json::parse(R"({"answers": [7]})")); }),
              HasSubstr("in the result for this row"));
}

}  // namespace
}  // namespace hone::qa
