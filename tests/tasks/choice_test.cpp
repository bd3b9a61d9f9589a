#include "tasks/choice/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "tasks/choice/texts.h"
#include "tasks/toy.h"

namespace hone::choice {
namespace {

using ::testing::AllOf;
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

std::unique_ptr<Task> trained(const std::string& yaml, const std::vector<std::string>& rows) {
  auto task = make(yaml);
  for (size_t i = 0; i < rows.size(); ++i)
    task->learn(record(rows[i].c_str(), static_cast<int64_t>(i) + 1));
  task->finish_learning();
  return task;
}

std::string row(const std::string& choices, const std::string& answer) {
  return R"({"context": "c", "question": "q", "choices": )" + choices + R"(, "answer": )" + answer +
         "}";
}

Options options(const std::string& yaml = "{}") {
  Config config = Config::parse(yaml, "run.yaml");
  return Options::read(config, 64);
}

int64_t read(const std::string& choices, const std::string& answer,
             const std::string& yaml = "{}") {
  const Record gold = record(row(choices, answer).c_str());
  const Options o = options(yaml);
  return answer_of(gold.fields["answer"], choices_of(gold, o), gold, o);
}

// ---- what records say

TEST(ChoiceGold, ReadsChoicesInTheFormsThatDataSetsHave) {
  for (const char* choices :
       {R"(["x", " y "])", R"([{"text": "x"}, {"text": "y"}])", R"({"text": ["x", "y"]})",
        R"({"text": ["x", "y"], "label": [1, 2]})"})
    EXPECT_THAT(choices_of(record(row(choices, "0").c_str()), options()).texts,
                ElementsAre("x", "y"))
        << choices;
  const Record columns = record(R"({"a": "x", "b": 7})");
  EXPECT_THAT(choices_of(columns, options("choices: [a, b]")).texts, ElementsAre("x", "7"));
}

TEST(ChoiceGold, ReadsAnAnswerAsNumberLetterLabelOrText) {
  const std::string four = R"(["w", "x", "y", "z"])";
  EXPECT_EQ(read(four, "2"), 2);
  EXPECT_EQ(read(four, "2", "answers_from: 1"), 1);
  EXPECT_EQ(read(four, R"("3")"), 3);
  EXPECT_EQ(read(four, R"("C")"), 2);
  EXPECT_EQ(read(four, R"("c")"), 2);
  EXPECT_EQ(read(four, R"(" z ")"), 3);
  const std::string named = R"({"text": ["x", "y"], "label": ["1", "2"]})";
  EXPECT_EQ(read(named, R"("2")"), 1);
  EXPECT_EQ(read(named, R"("y")"), 1);
}

TEST(ChoiceGold, AsksHowAnAnswerIsMeant) {
  const std::string letters = R"(["B", "A"])", numbers = R"(["1", "0"])";
  EXPECT_THAT(error_of([&] { read(letters, R"("A")"); }),
              AllOf(StartsWith("data.jsonl:1: \"answer\""), HasSubstr("answer_as")));
  EXPECT_EQ(read(letters, R"("A")", "answer_as: letter"), 0);
  EXPECT_EQ(read(letters, R"("A")", "answer_as: text"), 1);
  EXPECT_THAT(error_of([&] { read(numbers, "1"); }), HasSubstr("answer_as"));
  EXPECT_EQ(read(numbers, "1", "answer_as: number"), 1);
  EXPECT_EQ(read(R"(["A", "B"])", R"("A")"), 0);  // whatever is meant
}

TEST(ChoiceGold, SaysWhatIsWrongWithChoicesAndAnswers) {
  const auto error = [](const std::string& choices, const std::string& answer = "0") {
    return error_of([&] { read(choices, answer); });
  };
  EXPECT_THAT(error("[]"), AllOf(StartsWith("data.jsonl:1: \"choices\""), HasSubstr("no choice")));
  EXPECT_THAT(error(R"(["x", " "])"), HasSubstr("empty choice 2"));
  EXPECT_THAT(error(R"(["x", null])"), HasSubstr("choice 2 is null"));
  EXPECT_THAT(error(R"("x")"), HasSubstr("must be a list"));
  EXPECT_THAT(error(R"([{"label": "A"}])"), HasSubstr("needs a \"text\""));
  EXPECT_THAT(error(R"({"text": ["x"], "label": []})"), HasSubstr("1 texts, but 0 labels"));
  EXPECT_THAT(error(R"([{"text": "x", "label": "A"}, {"text": "y", "label": "A"}])"),
              HasSubstr("two choices with the label \"A\""));
  EXPECT_THAT(error(R"([{"text": "x", "label": "A"}, "y"])"), HasSubstr("others without"));
  EXPECT_THAT(error(R"(["x", "y"])", "2"), HasSubstr("numbered from 0 to 1"));
  EXPECT_THAT(error(R"(["x", "y"])", "-1"), HasSubstr("numbered from 0 to 1"));
  EXPECT_THAT(error(R"(["x", "y"])", R"("C")"), HasSubstr("none of the choices \"x\", \"y\""));
  EXPECT_THAT(error(R"(["x", "y"])", "18446744073709551615"), HasSubstr("numbered from 0 to 1"));
  EXPECT_THAT(error(R"({"text": ["x"], "label": ["1"]})", R"("2")"),
              HasSubstr("none of the labels \"1\""));
  EXPECT_THAT(error(R"(["x", "y"])", "1.5"), HasSubstr("none of the choices"));
  EXPECT_THAT(error(R"(["x", "y"])", "[0]"), HasSubstr("none of the choices"));
}

TEST(Choice, AnswersInTheWayOfTheTrainingData) {
  const auto form = [](const std::vector<std::string>& rows) {
    return trained("{}", rows)->state()["options"]["answer_as"].get<std::string>();
  };
  const std::string two = R"(["x", "y"])", letters = R"(["B", "A"])";
  EXPECT_EQ(form({row(two, "1")}), "number");
  EXPECT_EQ(form({row(two, R"("B")")}), "letter");
  EXPECT_EQ(form({row(two, R"("y")")}), "text");
  EXPECT_EQ(form({row(letters, R"("A")"), row(two, R"("B")")}), "letter");  // the second tells
  EXPECT_THAT(error_of([&] { form({row(letters, R"("A")")}); }), HasSubstr("task.answer_as"));
  EXPECT_THAT(error_of([&] { form({row(two, "1"), row(two, R"("x")")}); }),
              AllOf(StartsWith("data.jsonl:2"), HasSubstr("not as those before")));
}

TEST(Choice, RefusesTrainingDataWithOneChoiceEach) {
  EXPECT_THAT(error_of([] { trained("{}", {row(R"(["x"])", "0")}); }),
              HasSubstr("nothing to learn"));
}

// ---- what the model reads

std::vector<Part> parts(const char* fields, const std::string& choice, const std::string& yaml) {
  return parts_of(record(fields), choice, options(yaml));
}

TEST(Choice, PutsTheChoiceBehindTheQuestionOrIntoTheBlank) {
  const char* both = R"({"context": "a _ b", "question": "q"})";
  std::vector<Part> p = parts(both, "x y", "{}");
  ASSERT_EQ(p.size(), 2u);
  EXPECT_EQ(p[0].text, "a _ b");
  EXPECT_EQ(p[1].text, "q x y");
  EXPECT_EQ(p[1].choice, (Span{2, 5}));
  p = parts(both, "x", "{context: ''}");
  EXPECT_EQ(p[0].text, "q");
  EXPECT_EQ(p[1].text, "x");
  p = parts(both, "x", "blank: _");
  ASSERT_EQ(p.size(), 1u);
  EXPECT_EQ(p[0].text, "a x b");
  EXPECT_EQ(p[0].choice, (Span{2, 3}));
  p = parts(R"({"context": "c", "question": "is it _?"})", "x", "{blank: _, question: question}");
  EXPECT_EQ(p[0].text, "c");
  EXPECT_EQ(p[1].text, "is it x?");
}

TEST(Choice, NeedsTheBlankOnce) {
  for (const char* context : {"a b", "a _ b _"})
    EXPECT_THAT(error_of([&] {
                  const std::string fields = std::string(R"({"context": ")") + context + "\"}";
                  parts(fields.c_str(), "x", "blank: _");
                }),
                AllOf(StartsWith("data.jsonl:1"), HasSubstr("the blank \"_\" must stand once")));
}

Sample encoded(const Task& task, const std::string& fields, bool* truncated = nullptr) {
  return task.encode(record(fields.c_str()), toy::ToyTokenizer(), true, truncated).at(0);
}

TEST(Choice, LaysAllChoicesOfARecordInOneSample) {
  const auto task = trained("{}", {row(R"(["x", "y"])", "0")});
  const Sample sample = encoded(*task, row(R"(["x", "y z", "x", "w"])", "3"));
  // [CLS] c [SEP] q x [SEP], with two pieces of "y z"; the second "x" is the first one.
  EXPECT_THAT(sample.streams[0].ends, ElementsAre(6, 13, 19));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(2));
  EXPECT_THAT(sample.repair, HasSubstr("choices 1 and 3 have the same text"));
  EXPECT_THAT(encoded(*task, row(R"(["x"])", "0")).repair, HasSubstr("one choice"));
}

// Ids of one of a sample's choices.
std::vector<int32_t> ids_of(const Sample& sample, size_t choice) {
  const Sequence& all = sample.streams[0];
  return {all.ids.begin() + (choice == 0 ? 0 : all.ends[choice - 1]),
          all.ids.begin() + all.ends[choice]};
}

TEST(Choice, CutsTheTextAndNeverTheChoice) {
  const auto task = make("answer_as: number", 10);  // seven pieces beside the special ones
  bool truncated = false;
  const Sample sample = encoded(*task,
                                R"({"context": "a b c d e f g", "question": "q",)"
                                R"( "choices": ["x y", "v w x y z"], "answer": 0})",
                                &truncated);
  EXPECT_TRUE(truncated);
  const auto alone = [&](const char* text) { return toy::ToyTokenizer().encode(text).ids; };
  std::vector<int32_t> expected = {1};
  for (const int32_t id : alone("a b c d")) expected.push_back(id);
  expected.push_back(2);
  for (const int32_t id : alone("q x y")) expected.push_back(id);
  expected.push_back(2);
  EXPECT_EQ(ids_of(sample, 0), expected);
  EXPECT_EQ(sample.streams[0].ends[1] - sample.streams[0].ends[0], 10);
}

TEST(Choice, CutsBothSidesOfABlank) {
  const auto task = make("{blank: _, answer_as: number}", 7);  // five pieces
  const Sample sample =
      encoded(*task, R"({"context": "a b c d _ e f g", "choices": ["x"], "answer": 0})");
  EXPECT_EQ(
      std::vector<int32_t>(sample.streams[0].ids.begin() + 1, sample.streams[0].ids.end() - 1),
      toy::ToyTokenizer().encode("c d x e f").ids);
}

TEST(Choice, RefusesAChoiceThatDoesNotFit) {
  const auto task = make("answer_as: number", 8);
  EXPECT_THAT(error_of([&] { encoded(*task, row(R"(["x", "s t u v w x"])", "0")); }),
              AllOf(StartsWith("data.jsonl:1: \"choices\""), HasSubstr("6 tokens, but only 5 fit"),
                    HasSubstr("max_seq_length")));
}

// ---- loss and results

TEST(Choice, LosesTheCrossEntropyOverEachRecordsChoices) {
  const auto task = make("answer_as: number");
  const Batch batch =
      collate({encoded(*task, row(R"(["x", "y", "z"])", "1")), encoded(*task, row(R"(["x"])", "0")),
               encoded(*task, row(R"(["x", "y"])", "0"))},
              {0, 1, 2}, 0);
  const at::Tensor logits = at::tensor({1.0F, 2.0F, 4.0F, 7.0F, 0.5F, -0.5F}).view({6, 1});
  const auto nll = [](std::vector<double> x, size_t right) {
    double sum = 0;
    for (const double one : x) sum += std::exp(one);
    return std::log(sum) - x[right];
  };
  const Loss loss = task->loss(logits, batch, {});
  EXPECT_NEAR(loss.sum.item<double>(), nll({1, 2, 4}, 1) + nll({0.5, -0.5}, 0), 1e-5);
  EXPECT_EQ(loss.count, 3);
}

TEST(Choice, GivesEqualChoicesOneScore) {
  const auto task = make("answer_as: letter");
  const Record gold = record(row(R"(["x", "y", "x"])", R"("B")").c_str());
  const std::vector<Sample> samples = task->encode(gold, toy::ToyTokenizer(), false);
  const std::vector<Row> rows = {{&samples[0], at::tensor({0.0F, std::log(3.0F)}).view({2, 1})}};
  const Json result = task->decode(gold, rows, toy::ToyTokenizer());
  EXPECT_EQ(result["answer"], "B");
  EXPECT_EQ(result["scores"], Json::parse("[0.25, 0.75, 0.25]"));
}

TEST(ChoiceScorer, CountsRightAnswersHoweverTheyAreWritten) {
  const auto scorer = make()->make_scorer();
  const auto add = [&](const std::string& answer, const std::string& said) {
    scorer->add(record(row(R"(["x", "y", "x"])", answer).c_str()), Json::parse(said));
  };
  add("2", R"({"answer": "A", "scores": [0.9, 0.1, 0.9]})");  // the same text
  add("1", R"({"answer": "x", "scores": [0.7, 0.3, 0.7]})");
  const Report report = scorer->report();
  EXPECT_EQ(report.value("accuracy"), 0.5);
  EXPECT_EQ(*report.named("accuracy").baseline, 0.5);  // two different choices
  EXPECT_THAT(error_of([&] { add("1", R"({"answer": 7})"); }),
              AllOf(StartsWith("data.jsonl:1"), HasSubstr("in the result for this row")));
}

}  // namespace
}  // namespace hone::choice
