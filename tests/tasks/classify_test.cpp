#include "tasks/classify/classify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "support/errors.h"
#include "tasks/toy.h"

namespace hone::classify {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::error_of;
using toy::record;

std::unique_ptr<Task> make(const std::string& yaml, int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

std::unique_ptr<Task> trained(const std::string& yaml, const std::vector<const char*>& rows) {
  auto task = make(yaml);
  for (size_t i = 0; i < rows.size(); ++i)
    task->learn(record(rows[i], static_cast<int64_t>(i) + 1));
  task->finish_learning();
  return task;
}

std::vector<float> target(const Task& task, const char* row) {
  return task.encode(record(row), toy::ToyTokenizer(), true).at(0).targets.at(0).values;
}

Json decoded(const Task& task, const std::vector<float>& logits) {
  const Sample sample;
  const std::vector<Row> rows = {{&sample, at::tensor(logits)}};
  return task.decode(record("{}"), rows, toy::ToyTokenizer());
}

const std::vector<const char*> kAnimals = {R"({"text": "mew", "label": "cat"})",
                                           R"({"text": "woof", "label": "dog"})"};

TEST(Classify, NamesASetOfLabelsTheSameInAnyOrder) {
  const auto task = make("{type: multi, labels: [a, b]}");
  const auto named = [&](const char* labels) {
    const std::string row = std::string(R"({"text": "x", "label": )") + labels + "}";
    return task->label_of(record(row.c_str()));
  };
  EXPECT_EQ(named(R"(["b", "a"])"), "a, b");
  EXPECT_EQ(named(R"(["b", "a"])"), named(R"(["a", "b"])"));
}

// Tokens of the turn whose label is asked for, and of those before it.
std::pair<int64_t, int64_t> seen_of(const Task& task, const char* row, bool* was_cut = nullptr) {
  const Sequence sequence =
      task.encode(record(row), toy::ToyTokenizer(), false, was_cut).at(0).streams.at(0);
  return {std::count(sequence.texts.begin(), sequence.texts.end(), 1),
          std::count(sequence.texts.begin(), sequence.texts.end(), 0)};
}

TEST(Classify, SeesTheTurnsBeforeTheOneThatHasTheLabel) {
  using Seen = std::pair<int64_t, int64_t>;
  const auto task = make("{history: 2}");
  EXPECT_EQ(seen_of(*task, R"({"text": ["a b c"]})"), Seen(3, 0));
  EXPECT_EQ(seen_of(*task, R"({"text": ["a", "b b", "c", "d d d"]})"), Seen(3, 4));  // b b / c
  EXPECT_EQ(seen_of(*make("{history: 9}"), R"({"text": ["a", "b b", "c", "d d d"]})"), Seen(3, 6));
}

TEST(Classify, LosesTheOldestTurnsFirst) {
  bool was_cut = false;
  const char* row = R"({"text": ["a a a a a a", "b b", "c c c"]})";
  const Sequence cut = make("{history: 5}", 10)
                           ->encode(record(row), toy::ToyTokenizer(), false, &was_cut)
                           .at(0)
                           .streams.at(0);
  EXPECT_TRUE(was_cut);
  EXPECT_EQ(cut.size(), 10);
  const Sequence near = make("{history: 1}")
                            ->encode(record(row), toy::ToyTokenizer(), false, nullptr)
                            .at(0)
                            .streams.at(0);
  EXPECT_TRUE(std::equal(near.ids.rbegin(), near.ids.rend() - 1, cut.ids.rbegin()));
}

TEST(Classify, TellsWhatIsNoListOfTurns) {
  const auto task = make("{history: 2}");
  EXPECT_THAT(error_of([&] { seen_of(*task, R"({"text": "a"})"); }), HasSubstr("list of strings"));
  EXPECT_THAT(error_of([&] { seen_of(*task, R"({"text": []})"); }), HasSubstr("empty list"));
  EXPECT_THAT(error_of([] { make("{history: -1}"); }), HasSubstr("0 or more"));
  EXPECT_THAT(error_of([] { make("{history: 1, text_pair: b}"); }), HasSubstr("text_pair"));
}

TEST(Classify, NumbersItsLabelsInOrder) {
  const auto task = trained("{}", kAnimals);
  EXPECT_THAT(target(*task, R"({"text": "x", "label": "cat"})"), ElementsAre(0));
  EXPECT_THAT(target(*task, R"({"text": "x", "label": "dog"})"), ElementsAre(1));
}

TEST(Classify, AnswersWithProbabilitiesInTheDatasOwnType) {
  const auto task =
      trained("{}", {R"({"text": "a", "label": 3})", R"({"text": "b", "label": 10})"});
  const Json result = decoded(*task, {0.0F, std::log(3.0F)});
  EXPECT_EQ(result["label"], Json(10));
  EXPECT_EQ(result["scores"], Json::parse(R"({"3": 0.25, "10": 0.75})"));
  EXPECT_EQ(decoded(*trained("{}", {R"({"text": "a", "label": true})",
                                    R"({"text": "b", "label": false})"}),
                    {1, 0})["label"],
            Json(false));
}

TEST(Classify, RefusesDataOfOneClass) {
  auto task = make("{}");
  task->learn(record(kAnimals[0]));
  task->learn(record(kAnimals[0]));
  EXPECT_THAT(error_of([&] { task->finish_learning(); }),
              AllOf(HasSubstr("\"cat\""), HasSubstr("at least two classes")));
}

TEST(Classify, RefusesOneClassOfSeveralGiven) {
  auto task = make("labels: [cat, dog]");
  task->learn(record(R"({"label": "dog"})"));
  EXPECT_THAT(error_of([&] { task->finish_learning(); }), HasSubstr("\"dog\""));
}

TEST(Classify, RefusesNoDataAtAll) {
  auto task = make("{}");
  EXPECT_THAT(error_of([&] { task->finish_learning(); }), HasSubstr("nothing to learn"));
}

TEST(Classify, NamesTheLineOfAnUnknownLabel) {
  const auto task = trained("{}", kAnimals);
  const std::string message = error_of([&] {
    task->encode(record(R"({"text": "x", "label": "cot"})", 17), toy::ToyTokenizer(), true);
  });
  EXPECT_THAT(message, AllOf(HasSubstr("data.jsonl:17: \"label\" has the label \"cot\""),
                             HasSubstr("\"cat\", \"dog\""), HasSubstr("did you mean \"cat\"")));
}

TEST(Classify, CountsAnUnknownLabelAsWrongWhereAsked) {
  const auto task = trained("unknown_labels: count", kAnimals);
  EXPECT_THAT(target(*task, R"({"text": "x", "label": "cow"})"), ElementsAre(kNoTarget));
  const auto scorer = task->make_scorer();
  scorer->add(record(R"({"text": "x", "label": "cow"})"), {{"label", "cat"}});
  scorer->add(record(R"({"text": "x", "label": "cat"})"), {{"label", "cat"}});
  EXPECT_DOUBLE_EQ(scorer->report().value("accuracy"), 0.5);
}

TEST(Classify, RefusesTrainingLabelsThatAreNotAmongThoseGiven) {
  const auto task = make("{labels: [cat, dog], unknown_labels: count}");
  EXPECT_THAT(error_of([&] { task->learn(record(R"({"label": "cow"})", 4)); }),
              HasSubstr("data.jsonl:4"));
}

TEST(Classify, TakesListsForSeveralLabels) {
  const auto task =
      trained("{}", {R"({"text": "a", "label": ["x", "y"]})", R"({"text": "b", "label": []})",
                     R"({"text": "b", "label": ["z"]})"});
  EXPECT_THAT(target(*task, R"({"text": "x", "label": ["z", "x"]})"), ElementsAre(1, 0, 1));
  EXPECT_THAT(target(*task, R"({"text": "x", "label": []})"), ElementsAre(0, 0, 0));
  EXPECT_EQ(decoded(*task, {1, -1, 0})["label"], Json::parse(R"(["x", "z"])"));
  EXPECT_EQ(decoded(*task, {-1, -1, -1})["label"], Json::array());
}

TEST(Classify, SplitsSeveralLabelsInOneText) {
  const auto task = trained("{label_separator: ',', labels: [anger, joy, fear]}",
                            {R"({"text": "a", "label": "0,2"})"});
  EXPECT_THAT(target(*task, R"({"text": "x", "label": "2, 1"})"), ElementsAre(0, 1, 1));
  EXPECT_THAT(target(*task, R"({"text": "x", "label": ""})"), ElementsAre(0, 0, 0));
  EXPECT_EQ(decoded(*task, {1, -1, 1})["label"], Json("anger,fear"));
}

TEST(Classify, GivesALabelFromTheThresholdOn) {
  const auto task = trained(
      "threshold: 0.9", {R"({"text": "a", "label": ["x"]})", R"({"text": "a", "label": ["y"]})"});
  EXPECT_EQ(decoded(*task, {2, 3})["label"], Json::parse(R"(["y"])"));
}

// ---- how rows of several labels are written ----

std::unique_ptr<Task> toxic(const std::string& more, const std::vector<const char*>& rows) {
  return trained("{type: multi, labels: [toxic, insult, threat]" + more + "}", rows);
}

Record labelled(const Json& label) {
  Record row = record(R"({"text": "x"})", 7);
  row.fields["label"] = label;
  return row;
}

std::vector<float> target_of(const Task& task, const Json& label) {
  return task.encode(labelled(label), toy::ToyTokenizer(), true).at(0).targets.at(0).values;
}

std::string complaint(const Task& task, const Json& label) {
  return error_of([&] { task.encode(labelled(label), toy::ToyTokenizer(), true); });
}

TEST(ClassifyRows, ReadAZeroOrOneForEachName) {
  const auto task = toxic("", {R"({"text": "a", "label": [1, 0, 1]})"});
  for (const char* row :
       {"[0, 1, 1]", "[0.0, 1.0, 1.0]", "[false, true, true]", R"(["0", "1", "1"])", R"("0 1 1")",
        R"("0,1,1")", R"("False,True,True")", R"("FALSE TRUE TRUE")", R"("[0, 1, 1]")",
        R"("[0. 1. 1.]")", R"("[False, True, True]")", R"({"toxic": 0, "insult": 1, "threat": 1})",
        R"("{'toxic': 0, 'insult': 1, 'threat': 1}")", R"({"insult": true, "threat": "1"})",
        R"(["insult", "threat"])", R"("['insult', 'threat']")"}) {
    EXPECT_THAT(target_of(*task, Json::parse(row)), ElementsAre(0, 1, 1)) << row;
  }
}

TEST(ClassifyRows, RefuseWhatCanBeReadInTwoWays) {
  const auto two = make("{type: multi, labels: [a, b]}");
  for (const char* row : {"[0, 1]", "[1, 0]", R"("0 1")"})
    EXPECT_THAT(complaint(*two, Json::parse(row)),
                AllOf(HasSubstr("label_format: list"), HasSubstr("label_format: multi_hot")))
        << row;
  EXPECT_THAT(target_of(*two, Json::parse("[1, 1]")), ElementsAre(1, 1));
  EXPECT_THAT(
      target_of(*make("{type: multi, labels: [a, b], label_format: list}"), Json::parse("[0, 1]")),
      ElementsAre(1, 1));
  EXPECT_THAT(target_of(*make("{type: multi, labels: [a, b], label_format: multi_hot}"),
                        Json::parse("[0, 1]")),
              ElementsAre(0, 1));
}

TEST(ClassifyRows, AreWrittenInOneWay) {
  const auto bits = toxic("", {R"({"text": "a", "label": [1, 0, 1]})"});
  EXPECT_THAT(complaint(*bits, Json::parse("[0, 1]")),
              HasSubstr("2 zeros and ones, but there are 3 labels"));
  EXPECT_THAT(complaint(*bits, Json::parse("[2, 1]")), HasSubstr("as other rows are"));
  const auto ids = toxic("", {R"({"text": "a", "label": [0, 2]})"});
  EXPECT_THAT(target_of(*ids, Json::parse("[0, 1]")), ElementsAre(1, 1, 0));
  EXPECT_THAT(complaint(*ids, Json::parse("[0, 1, 0]")), HasSubstr("names a label twice"));
}

TEST(ClassifyRows, OfZerosAndOnesNeedNames) {
  auto task = make("{}");
  EXPECT_THAT(error_of([&] { task->learn(labelled(Json::parse("[0, 1, 0]"))); }),
              AllOf(HasSubstr("data.jsonl:7"), HasSubstr("labels: [first, second")));
  EXPECT_THAT(error_of([] {
                trained("{}", {R"({"text": "a", "label": [0, 1]})", R"({"label": [1, 0]})"});
              }),
              HasSubstr("label_format: list"));
  EXPECT_THAT(error_of([] { make("label_format: multi_hot"); }), HasSubstr("needs \"labels\""));
}

TEST(ClassifyRows, StayNumbersWhereLabelsAreNumbers) {
  const auto task = trained("{}", {R"({"text": "a", "label": [0, 1]})", R"({"label": [2]})"});
  EXPECT_THAT(target_of(*task, Json::parse("[0, 2]")), ElementsAre(1, 0, 1));
  EXPECT_THAT(complaint(*task, Json::parse("[0, 1, 0]")), HasSubstr("names a label twice"));
}

TEST(ClassifyRows, MayStandInAColumnForEachLabel) {
  const auto task =
      trained("label: [toxic, insult]", {R"({"text": "a", "toxic": "1", "insult": "0"})"});
  EXPECT_THAT(target(*task, R"({"text": "x", "toxic": 0, "insult": 1.0})"), ElementsAre(0, 1));
  EXPECT_EQ(decoded(*task, {1, -1})["label"], Json::parse(R"(["toxic"])"));
  EXPECT_THAT(error_of([&] { target(*task, R"({"text": "x", "toxic": 0})"); }),
              HasSubstr("no field \"insult\""));
  EXPECT_THAT(error_of([&] { target(*task, R"({"text": "x", "toxic": 0, "insult": "maybe"})"); }),
              HasSubstr("\"insult\" must be 0 or 1"));
  const auto scorer = make("label: [toxic, insult]")->make_scorer();
  scorer->add(record(R"({"text": "x", "toxic": 1, "insult": 1})"),
              Json::parse(R"({"label": ["toxic"]})"));
  EXPECT_DOUBLE_EQ(scorer->report().value("hamming_loss"), 0.5);
}

TEST(ClassifyRows, ScoreAZeroOrOneForEachNameAsItsNames) {
  const auto scorer = make("{type: multi, labels: [toxic, insult, threat]}")->make_scorer();
  scorer->add(labelled(Json::parse("[0, 1, 0]")), Json::parse(R"({"label": ["toxic", "insult"]})"));
  EXPECT_NEAR(scorer->report().value("micro_f1"), 2.0 / 3, 1e-12);
  scorer->add(labelled(Json::parse("[0, 1, 1]")), Json::parse(R"({"label": [0, 1, 1]})"));
  EXPECT_DOUBLE_EQ(scorer->report().value("subset_accuracy"), 0.5);
}

TEST(ClassifyRows, ReadAListThatWasWrittenIntoAText) {
  for (const char* text :
       {"['a', 'b']", "[\"a\", \"b\"]", "[a, b]", "['a' 'b']", "('a', 'b')", "{'a', 'b'}",
        " ['a','b',] ", "[ 'a' ,\n \"b\" ]", "array(['a', 'b'], dtype=object)",
        "array(['a', 'b'], dtype='<U1')", "np.array(['a', 'b'])", "frozenset({'a', 'b'})",
        "set(['a', 'b'])", "list(('a', 'b'))"}) {
    EXPECT_THAT(target_of(*make("{type: multi, labels: [a, b]}"), text), ElementsAre(1, 1)) << text;
    EXPECT_THAT(target_of(*make("{type: multi, labels: [a, b], label_separator: ','}"), text),
                ElementsAre(1, 1))
        << text;
  }
  for (const char* text : {"()", "[]", "set()", "frozenset()", "array([], dtype=object)", "{}"})
    EXPECT_THAT(target_of(*make("{type: multi, labels: [a, b]}"), text), ElementsAre(0, 0)) << text;
  const auto calls = trained("{}", {R"j({"label": "set(a)"})j", R"j({"label": "f(['a'])"})j"});
  EXPECT_THAT(target_of(*calls, "set(a)"), ElementsAre(1)) << "a name";
  const auto task = trained("{}", {R"({"text": "a", "label": "['it\\'s', 'very good']"})",
                                   R"({"text": "a", "label": "[]"})"});
  EXPECT_EQ(task->state()["labels"]["values"], Json::parse(R"(["it's", "very good"])"));
}

TEST(ClassifyRows, RefuseAListInATextThatIsBroken) {
  const auto task = make("{type: multi, labels: [a, b], label_separator: ','}");
  for (const char* text : {"['a', 'b'", "['a', 'b]", "['a', ['b']]"})
    EXPECT_THAT(complaint(*task, text), HasSubstr("begins as a list, but is none")) << text;
}

TEST(ClassifyRows, RefuseAListInATextWhereOneLabelIsMeant) {
  auto task = make("type: single");
  for (const char* text : {"['a', 'b']", "['a']", "[a, b]"}) {
    EXPECT_THAT(error_of([&] { task->learn(labelled(text)); }),
                AllOf(HasSubstr("data.jsonl:7"), HasSubstr("type: multi")))
        << text;
  }
  const auto names = trained("{}", {R"({"label": "[NEUTRAL]"})", R"j({"label": "(a, b)"})j"});
  EXPECT_THAT(target_of(*names, "[NEUTRAL]"), ElementsAre(1)) << "one word in brackets is a name";
}

TEST(ClassifyLabels, HaveNoBlanksAroundThem) {
  const auto task =
      trained("{}", {R"({"label": "y "})", R"({"label": " y"})", R"({"label": "y\n"})",
                     R"({"label": "\u00a0n"})", R"({"label": "\u200by"})", R"({"label": "y"})"});
  EXPECT_EQ(task->state()["labels"]["values"], Json::parse(R"(["n", "y"])"));
  EXPECT_THAT(target_of(*task, "\ty "), ElementsAre(1));
  for (const Json& blank : {Json(" "), Json("\n"), Json("\u3000"), Json("\u200b"), Json("\u2060 ")})
    EXPECT_THAT(complaint(*task, blank), HasSubstr("data.jsonl:7: \"label\" is blank"));
  EXPECT_THAT(complaint(*make("{type: multi, labels: [a]}"), Json::parse(R"(["a", " "])")),
              HasSubstr("is blank"));
}

TEST(ClassifyLabels, WithBlanksAroundThemAreRepairsThatAreTold) {
  const auto task = trained("{}", kAnimals);
  const auto repair = [&](const char* row) {
    return task->encode(record(row), toy::ToyTokenizer(), true).at(0).repair;
  };
  EXPECT_EQ(repair(R"({"text": "x", "label": "cat"})"), "");
  EXPECT_THAT(repair(R"({"text": "x", "label": "cat\n"})"), HasSubstr("blanks or line breaks"));
}

TEST(ClassifyLabels, WithoutATrainingRowAreToldOf) {
  testing::internal::CaptureStderr();
  trained("labels: [cow, cat, dog]", kAnimals);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("no training row has 1 of the 3 labels, which cannot be learned: \"cow\""));
  testing::internal::CaptureStderr();
  trained("labels: [cat, dog]", kAnimals);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(ClassifyLabels, ThatAreUnknownGetAdviceThatCanBeFollowed) {
  const auto given = trained("labels: [cat, dog]", kAnimals);
  EXPECT_THAT(complaint(*given, "cow"), HasSubstr("task.unknown_labels=count"));
  auto learning = make("labels: [cat, dog]");
  EXPECT_THAT(error_of([&] { learning->learn(labelled("cow")); }),
              AllOf(HasSubstr("Add it to \"labels\""), Not(HasSubstr("unknown_labels"))));
}

TEST(Classify, NamesOptionsThatChangeNothing) {
  const auto told = [](const char* options, const std::vector<const char*>& rows) {
    return trained(options, rows)->idle_options();
  };
  const std::vector<const char*> numbers = {R"({"label": 1.5})", R"({"label": 2})"},
                                 several = {R"({"label": ["a"]})", R"({"label": ["b"]})"};
  EXPECT_THAT(told("threshold: 0.3", kAnimals), ElementsAre(HasSubstr("where the type is single")));
  EXPECT_THAT(told("{type: regression, threshold: 0.3}", numbers),
              ElementsAre(HasSubstr("where the type is regression")));
  EXPECT_THAT(told("threshold: 0.3", several), IsEmpty());
  EXPECT_THAT(told("temperature: 2", kAnimals), IsEmpty());
  EXPECT_THAT(told("temperature: auto", several),
              ElementsAre(HasSubstr("temperature does nothing where the type is multi")));
  EXPECT_THAT(told("{type: regression, temperature: 2}", numbers),
              ElementsAre(HasSubstr("temperature does nothing where the type is regression")));
  EXPECT_THAT(told("{type: regression, unknown_labels: count}", numbers),
              ElementsAre(HasSubstr("unknown_labels")));
  EXPECT_THAT(told("unknown_labels: count", kAnimals), IsEmpty());
  EXPECT_THAT(told("label_ids_from: 1", kAnimals), ElementsAre(HasSubstr("label_ids_from")));
  EXPECT_THAT(told("{label_ids_from: 1, labels: [cat, dog]}", kAnimals), IsEmpty());
}

TEST(ClassifyLabels, OfDecimalsInATextGetTheAdviceThatNumbersGet) {
  for (const Json& label :
       {Json(2.5), Json("2.5"), Json("1.0"), Json("-0.25"), Json("1e-3"), Json("-2E-5")}) {
    auto task = make("{}");
    EXPECT_THAT(
        error_of([&] { task->learn(labelled(label)); }),
        AllOf(HasSubstr("data.jsonl:7"), HasSubstr("type: regression"), HasSubstr("type: single")))
        << label;
  }
  EXPECT_THAT(
      target_of(*trained("type: single", {R"({"label": "1.10"})", R"({"label": "1.1"})"}), "1.10"),
      ElementsAre(1));
}

TEST(ClassifyLabels, ThatStandInOneRowEachAreToldOf) {
  testing::internal::CaptureStderr();
  trained("{}", {R"({"label": "a1"})", R"({"label": "b2"})", R"({"label": "c3"})"});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("3 of 3 training rows"), HasSubstr("right field")));
}

TEST(ClassifyLabels, ThatDifferInSpellingOnlyAreToldOf) {
  testing::internal::CaptureStderr();
  trained("type: single", {R"({"label": "Spam"})", R"({"label": "spam"})", R"({"label": "é"})",
                           R"({"label": "e\u0301"})", R"({"label": "1"})", R"({"label": "1.0"})"});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("\"Spam\" and \"spam\""), HasSubstr("\"1\" and \"1.0\""),
                    HasSubstr("\"e\u0301\" and \"é\"")));
}

TEST(ClassifyLabels, AreNoNumbersThatMergeWithTheirNeighbours) {
  auto task = make("{}");
  EXPECT_THAT(error_of([&] { task->learn(labelled(1e30)); }),
              AllOf(HasSubstr("too large"), HasSubstr("in quotes")));
  EXPECT_EQ(trained("{}", {R"({"label": "1000000000000000000000000000000"})",
                           R"({"label": "1000000000000000000000000000001"})"})
                ->state()["labels"]["values"]
                .size(),
            2);
  const auto number = make("type: regression");
  EXPECT_THAT(error_of([&] { number->learn(labelled(1e39)); }), HasSubstr("more than a model"));
}

TEST(ClassifyLabels, AreGivenAsAListOrAsTheFileThatHoldsThem) {
  EXPECT_THAT(target_of(*make("{type: multi, labels: [toxic]}"), Json::array({"toxic"})),
              ElementsAre(1));
  EXPECT_THAT(error_of([] { make("labels: toxic"); }), HasSubstr("is written [toxic]"));
  EXPECT_THAT(error_of([] { make("labels: [a, ' ']"); }), HasSubstr("blank"));
}

TEST(Classify, RefusesListsBesideSingleLabels) {
  auto task = make("{}");
  task->learn(record(kAnimals[0], 1));
  EXPECT_THAT(error_of([&] { task->learn(record(R"({"label": ["cat"]})", 2)); }),
              AllOf(HasSubstr("data.jsonl:2"), HasSubstr("data.jsonl:1")));
}

TEST(Classify, PredictsNumbersOnlyWhenTold) {
  auto unsure = make("{}");
  EXPECT_THAT(error_of([&] { unsure->learn(record(R"({"label": 2.5})")); }),
              HasSubstr("type: regression"));
  const auto task = trained("type: regression",
                            {R"({"text": "a", "label": 2.5})", R"({"text": "a", "label": "3"})"});
  EXPECT_THAT(target(*task, R"({"text": "x", "label": "-1e1"})"), ElementsAre(-10));
  EXPECT_EQ(decoded(*task, {0.1F}), Json::parse(R"({"label": 0.1})"));
  EXPECT_THAT(error_of([&] {
                task->encode(record(R"({"text": "x", "label": "n/a"})"), toy::ToyTokenizer(), true);
              }),
              HasSubstr("must be a number"));
}

TEST(Classify, CutsLongTextsAndSaysSo) {
  const auto task = make("{text: a, text_pair: b}", 8);  // five pieces beside three special tokens
  bool truncated = false;
  const Sample sample = task->encode(record(R"({"a": "one two six", "b": "ten"})"),
                                     toy::ToyTokenizer(), false, &truncated)
                            .at(0);
  EXPECT_FALSE(truncated);
  EXPECT_THAT(sample.streams[0].segments, ElementsAre(0, 0, 0, 0, 0, 1, 1));
  EXPECT_EQ(task->encode(record(R"({"a": "one two six ten", "b": "one two six"})"),
                         toy::ToyTokenizer(), false, &truncated)
                .at(0)
                .size(),
            8);
  EXPECT_TRUE(truncated);
}

TEST(Classify, KeepsThePlaceOfAnEmptySecondText) {
  const Sample sample = make("{text: a, text_pair: b}", 8)
                            ->encode(record(R"({"a": "one", "b": ""})"), toy::ToyTokenizer(), false)
                            .at(0);
  EXPECT_THAT(sample.streams[0].segments, ElementsAre(0, 0, 0, 1));  // [CLS] one [SEP] [SEP]
  EXPECT_THAT(sample.streams[0].texts, ElementsAre(-1, 0, -1, -1));
}

TEST(Classify, NeedsNoLabelToPredict) {
  EXPECT_TRUE(make("{}")
                  ->encode(record(R"({"text": "x"})"), toy::ToyTokenizer(), false)
                  .at(0)
                  .targets.empty());
}

TEST(Classify, NamesFieldsThatAreMissing) {
  const auto task = trained("{}", kAnimals);
  const auto encode = [&](const char* row) {
    return error_of([&] { task->encode(record(row, 5), toy::ToyTokenizer(), true); });
  };
  EXPECT_THAT(encode(R"({"txt": "x", "label": "cat"})"),
              AllOf(HasSubstr("data.jsonl:5: the row has no field \"text\""),
                    HasSubstr("did you mean \"txt\"")));
  EXPECT_THAT(encode(R"({"text": 3, "label": "cat"})"),
              HasSubstr("\"text\" must be a text, but is 3"));
  EXPECT_THAT(encode(R"({"text": "x", "label": null})"), HasSubstr("\"label\" is null"));
  EXPECT_THAT(encode(R"({"text": "x", "label": ""})"), HasSubstr("\"label\" is empty"));
  EXPECT_THAT(encode(R"({"text": "x", "label": {"a": 1}})"), HasSubstr("must hold labels"));
  EXPECT_THAT(encode(R"({})"), HasSubstr("it is empty"));
}

TEST(Classify, RefusesOptionsThatContradictEachOther) {
  EXPECT_THAT(error_of([] { make("threshold: 1.5"); }), HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of([] { make("{type: single, label_separator: ','}"); }),
              HasSubstr("\"type\" is single"));
  EXPECT_THAT(error_of([] { make("labels: [a, b, a]"); }), HasSubstr("stands twice"));
  EXPECT_THAT(error_of([] { make("type: many"); }), HasSubstr("multi"));
  EXPECT_THAT(error_of([] { make("labels: /no/such/labels.txt"); }), HasSubstr("labels.txt"));
  EXPECT_THAT(error_of([] { make("{label: [a, b], labels: [c, d]}"); }), HasSubstr("columns"));
}

TEST(Classify, RestoresWhatItLearned) {
  const auto task =
      trained("{text: t, label_separator: ';', threshold: 0.7}", {R"({"t": "a", "label": "x;y"})"});
  const auto again = kInfo.restore(Json::parse(task->state().dump()));
  EXPECT_EQ(again->state(), task->state());
  EXPECT_EQ(decoded(*again, {0.5F, 1}), decoded(*task, {0.5F, 1}));
}

TEST(Classify, TellsTransformersItsLabels) {
  ModelConfig model;
  model.architecture_stem = "Bert";
  Json config = {{"num_labels", 5}};
  trained("{}", kAnimals)->write_model_config(model, config);
  EXPECT_EQ(config["architectures"], Json::parse(R"(["BertForSequenceClassification"])"));
  EXPECT_EQ(config["id2label"], Json::parse(R"({"0": "cat", "1": "dog"})"));
  EXPECT_EQ(config["label2id"], Json::parse(R"({"cat": 0, "dog": 1})"));
  EXPECT_EQ(config["problem_type"], "single_label_classification");
  EXPECT_FALSE(config.contains("num_labels"));
}

Batch batch_of(const Task& task, const std::vector<const char*>& rows) {
  std::vector<Sample> samples;
  std::vector<int64_t> indices;
  for (const char* row : rows) {
    samples.push_back(task.encode(record(row), toy::ToyTokenizer(), true).at(0));
    indices.push_back(static_cast<int64_t>(indices.size()));
  }
  return collate(samples, indices, 0);
}

TEST(Classify, SumsTheLossOverRowsWithATarget) {
  const auto task = trained("unknown_labels: count", kAnimals);
  const Batch batch =
      batch_of(*task, {R"({"text": "x", "label": "dog"})", R"({"text": "x", "label": "cow"})"});
  const Loss loss = task->loss(at::tensor({1.0F, 2.0F, 5.0F, 0.0F}).view({2, 2}), batch);
  EXPECT_EQ(loss.count, 1);
  EXPECT_NEAR(loss.sum.item<double>(), std::log(1 + std::exp(-1.0)), 1e-6);
}

TEST(Classify, CountsEveryLabelOfAMultiLabelLoss) {
  const auto task = trained("{}", {R"({"text": "a", "label": ["x", "y"]})"});
  const Batch batch = batch_of(*task, {R"({"text": "x", "label": ["x"]})"});
  const Loss loss = task->loss(at::tensor({1.0F, -2.0F}).view({1, 2}), batch);
  EXPECT_EQ(loss.count, 2);
  EXPECT_NEAR(loss.sum.item<double>(), std::log1p(std::exp(-1.0)) + std::log1p(std::exp(-2.0)),
              1e-6);
}

TEST(Classify, SquaresTheErrorOfANumber) {
  const auto task = trained("type: regression", {R"({"text": "a", "label": 1})"});
  const Batch batch =
      batch_of(*task, {R"({"text": "x", "label": 1})", R"({"text": "x", "label": 2})"});
  const Loss loss = task->loss(at::tensor({3.0F, 2.5F}).view({2, 1}), batch);
  EXPECT_EQ(loss.count, 2);
  EXPECT_NEAR(loss.sum.item<double>(), 4.25, 1e-6);
  EXPECT_THROW(task->loss(at::zeros({2, 1}), batch, {.label_smoothing = 0.1}), Error);
}

TEST(ClassifyScorer, NeedsNoModel) {
  const auto scorer = make("{}")->make_scorer();
  for (const char* said : {"cat", "cat", "dog", "owl"})
    scorer->add(record(R"({"text": "t", "label": "cat"})"), {{"label", said}});
  const Report report = scorer->report();
  EXPECT_DOUBLE_EQ(report.score, 0.5);
  EXPECT_EQ(report.n, 4);
  const Json json = report.json();
  EXPECT_EQ(json["per_class"].size(), 3u);
  EXPECT_TRUE(json["reliability"].empty());
  EXPECT_EQ(json["confusion"]["counts"], Json({{2, 1, 1}, {0, 0, 0}, {0, 0, 0}}));
}

TEST(Classify, TakesTheThresholdThatIsBestOnValidationData) {
  const auto task = trained(
      "threshold: auto", {R"({"text": "a", "label": ["x"]})", R"({"text": "a", "label": ["y"]})"});
  EXPECT_THAT(task->open_options(), ElementsAre("threshold"));
  const auto scorer = task->make_scorer();
  const auto add = [&](const char* labels, const char* said, double x, double y) {
    scorer->add(labelled(Json::parse(labels)),
                {{"label", Json::parse(said)}, {"scores", {{"x", x}, {"y", y}}}});
  };
  add(R"(["x"])", R"(["x"])", 0.9, 0.1);
  add(R"(["y"])", "[]", 0.2, 0.4);
  add("[]", "[]", 0.3, 0.1);
  const std::vector<ChosenOption> chosen = task->choose_options(scorer->report());
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_NEAR(chosen[0].value, 0.35, 1e-12);
  EXPECT_EQ(chosen[0].score, 1);
  EXPECT_NEAR(chosen[0].usual, 2.0 / 3, 1e-12);
  EXPECT_EQ(task->state()["options"]["threshold"], chosen[0].value);
  EXPECT_THAT(task->open_options(), IsEmpty());
  EXPECT_EQ(decoded(*task, {-0.5, -0.7F})["label"], Json::parse(R"(["x"])"));  // 0.38 and 0.33
}

TEST(ClassifyScorer, ListsTheMostConfidentMistakesWithTheirLines) {
  const auto scorer = trained("{}", kAnimals)->make_scorer();
  scorer->add(record(R"({"text": "mild", "label": "cat"})", 7),
              Json::parse(R"({"label": "dog", "scores": {"cat": 0.4, "dog": 0.6}})"));
  scorer->add(record(R"({"text": "sure\nof it", "label": "cat"})", 9),
              Json::parse(R"({"label": "dog", "scores": {"cat": 0.01, "dog": 0.99}})"));
  const Report report = scorer->report();
  const Json mistakes = report.json()["mistakes"];
  ASSERT_EQ(mistakes.size(), 2u);
  EXPECT_EQ(mistakes[0]["line"], 9);
  EXPECT_FALSE(mistakes[0].contains("column")) << "a line holds one row";
  EXPECT_EQ(mistakes[0]["text"], "sure of it");
  EXPECT_EQ(mistakes[0]["predicted"], "dog");
  EXPECT_NEAR(report.value("ece"), 0.795, 1e-9);
}

TEST(ClassifyScorer, ReadsGoldNumbersAsTheNamesTheyStandFor) {
  const auto scorer = make("labels: [World, Sports]")->make_scorer();
  scorer->add(record(R"({"text": "t", "label": "1"})"), {{"label", "Sports"}});
  EXPECT_EQ(scorer->report().score, 1);
}

TEST(ClassifyScorer, PlacesAComplaintAboutAResultAtItsGoldRow) {
  const auto scorer = make("{}")->make_scorer();
  const auto add = [&](const char* result) {
    return error_of(
        [&] { scorer->add(record(R"({"text": "t", "label": "cat"})", 3), Json::parse(result)); });
  };
  EXPECT_THAT(add(R"({"labl": "cat"})"),
              AllOf(HasSubstr("data.jsonl:3: the result for this row has no field \"label\""),
                    HasSubstr("labl")));
  EXPECT_THAT(add(R"({"label": ["cat"]})"), HasSubstr("in the result for this row"));
  EXPECT_THAT(add("3"), HasSubstr("not an object"));
}

TEST(ClassifyScorer, ScoresNumbers) {
  const auto scorer = make("type: regression")->make_scorer();
  for (const auto& [gold, said] : {std::pair(1.0, 1.5), std::pair(2.0, 2.5), std::pair(3.0, 3.5)}) {
    Record row = record(R"({"text": "t"})");
    row.fields["label"] = gold;
    scorer->add(row, {{"label", said}});
  }
  const Report report = scorer->report();
  EXPECT_EQ(report.metric, "pearson");
  EXPECT_DOUBLE_EQ(report.score, 1);
  EXPECT_DOUBLE_EQ(report.value("mse"), 0.25);
  EXPECT_FALSE(report.json().contains("per_class"));
}

TEST(ClassifyScorer, ReportsNothingAboutNothing) {
  for (const char* type : {"auto", "single", "multi", "regression"}) {
    const Report report = make(std::string("type: ") + type)->make_scorer()->report();
    EXPECT_EQ(report.n, 0) << type;
    EXPECT_EQ(report.score, 0) << type;
  }
}

}  // namespace
}  // namespace hone::classify
