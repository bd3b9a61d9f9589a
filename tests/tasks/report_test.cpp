#include "tasks/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "tasks/human.h"
#include "tasks/metrics/classes.h"
#include "tasks/short_paths.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Counts = std::vector<std::pair<std::string, metrics::ClassCounts>>;
const Counts kCounts = {{"ham", {2, 3, 2}}, {"spâm", {1, 1, 2}}};

ScoreTable table(const Counts& counts) {
  std::vector<std::string> names;
  std::vector<metrics::ClassCounts> classes;
  for (const auto& [name, of_class] : counts) {
    names.push_back(name);
    classes.push_back(of_class);
  }
  ScoreTable made = metrics::class_table(names, classes, "accuracy");
  made.averages.front().is_total = true;
  return made;
}

Report example() {
  Report r;
  r.task = "classify";
  r.metric = "accuracy";
  r.n = 4;
  r.add({"accuracy", less_is_better("ece")}, {0.75, std::nan("")}, {{0.5, 1}}, {0.5});
  r.baseline = "always ham";
  r.sections = {{"per_class", "classes", table(kCounts)},
                {"confusion", "confusion", Matrix{{"ham", "spâm"}, {{2, 0}, {1, 1}}}},
                {"reliability", "calibration",
                 Curve{.x = "confidence", .y = "accuracy", .bins = {{0.9, 0.75, 4, 0.8, 1}}}},
                {"mistakes", "most confident mistakes",
                 Examples{{{{"test.jsonl", 3, 0}, "win a prize", "spâm", "ham", 0.875}},
                          "confidence",
                          "mistake_measure"}}};
  return r;
}

// Printed by sklearn.metrics.classification_report(…, digits=4) for the same counts.
TEST(ReportText, LooksLikeClassificationReport) {
  EXPECT_THAT(report_text(example(), {}),
              HasSubstr("              precision    recall  f1-score   support\n"
                        "\n"
                        "         ham     0.6667    1.0000    0.8000         2\n"
                        "        spâm     1.0000    0.5000    0.6667         2\n"
                        "\n"
                        "    accuracy                         0.7500         4\n"
                        "   macro avg     0.8333    0.7500    0.7333         4\n"
                        "weighted avg     0.8333    0.7500    0.7333         4\n"));
}

TEST(ReportText, GivesIntervalsAndMistakesWithTheirLines) {
  EXPECT_THAT(report_text(example(), {}),
              AllOf(HasSubstr("accuracy  0.7500  [0.5000, 1.0000]"),
                    HasSubstr("test.jsonl:3: spâm, predicted ham (0.875): win a prize")));
}

TEST(ReportText, LeavesOutWhatATaskDoesNotHave) {
  Report r;
  r.add({"mse"}, {0.5});
  EXPECT_THAT(report_text(r, {}), AllOf(HasSubstr("mse  0.5000"), Not(HasSubstr("precision")),
                                        Not(HasSubstr("mistakes"))));
}

TEST(ReportJson, HoldsWhatTheReportHolds) {
  const Json json = Json::parse(example().json().dump());
  EXPECT_EQ(json["metrics"]["accuracy"], 0.75);
  EXPECT_TRUE(json["metrics"]["ece"].is_null()) << "JSON has no NaN";
  EXPECT_EQ(json["intervals"]["accuracy"], Json::array({0.5, 1.0}));
  EXPECT_EQ(json["baseline"]["name"], "always ham");
  EXPECT_EQ(json["baseline"]["metrics"], (Json{{"accuracy", 0.5}}));
  EXPECT_EQ(json["per_class"][0]["predicted"], 3);
  EXPECT_EQ(json["reliability"][0]["low"], 0.8);
  EXPECT_EQ(json["confusion"]["counts"], Json::array({{2, 0}, {1, 1}}));
  EXPECT_EQ(json["mistakes"][0]["file"], "test.jsonl");
  EXPECT_EQ(json["mistakes"][0]["line"], 3);
  EXPECT_EQ(json["mistakes"][0]["predicted"], "ham");
}

TEST(ReportJson, SaysWhereLessIsBetter) {
  Report r;
  r.add({"f1", less_is_better("mse")}, {0.5, 2});
  EXPECT_EQ(r.json()["less_is_better"], Json::array({"mse"}));
}

TEST(ReportJson, HoldsTheRunAroundIt) {
  RunSummary run;
  run.data["train"].rows = 7;
  run.timing = {{"tokens_per_second", 5}};
  run.curves["loss"] = {{1, 0.5, 2.0}};
  const Json json = report_json(example(), run);
  for (const char* key : {"task", "metric", "score", "n", "metrics", "per_class", "data", "timing"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["data"]["train"]["rows"], 7);
  EXPECT_EQ(json["curves"]["loss"][0]["value"], 2.0);
}

std::vector<std::string> found_texts(const Report& report, const RunSummary& run) {
  std::vector<std::string> texts;
  for (const Finding& finding : findings(report, run)) texts.push_back(finding.text);
  return texts;
}

TEST(Findings, AreNoneWhereNothingIsWrong) {
  EXPECT_TRUE(findings(example(), {}).empty());
  EXPECT_EQ(report_text(example(), {}).find('!'), std::string::npos);
}

TEST(Findings, NameTheClassesThatAreNeverPredicted) {
  Report r = example();
  Counts counts = kCounts;
  counts.push_back({"eggs", {0, 0, 5}});
  counts.push_back({"unseen", {0, 0, 0}});  // nothing to predict there
  metrics::add_classes(table(counts), r);
  const std::vector<Finding> found = findings(r, {});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text, "1 of 3 classes is never predicted");
  EXPECT_THAT(found[0].names, ::testing::ElementsAre("eggs"));
  EXPECT_THAT(report_text(r, {}), HasSubstr("! 1 of 3 classes is never predicted: eggs\n"));
}

TEST(Findings, SayWhereAScoreIsNoBetterThanItsBaseline) {
  Report r = example();
  r.metrics[0].baseline = 0.75;
  EXPECT_THAT(found_texts(r, {}), ::testing::ElementsAre(HasSubstr("no better than always ham")));
  Report error;
  error.metric = "mse";
  error.n = 3;
  error.add({less_is_better("mse")}, {2}, {}, {1.5});
  EXPECT_EQ(findings(error, {}).size(), 1U);
  error.metrics[0].value = 1;
  EXPECT_TRUE(findings(error, {}).empty()) << "a smaller error is better";
}

TEST(Findings, ShowLeakedTextsWithTheirSimilarity) {
  RunSummary run;
  run.leaks = {{"test",
                "train",
                2,
                1,
                1,
                {{{"t.jsonl", 5, 0}, {"r.jsonl", 9, 0}, 1, "a text", "a text"},
                 {{"t.jsonl", 6, 0}, {"r.jsonl", 8, 0}, 0.94, "one text", "one test"}}}};
  const std::string text = report_text(example(), run);
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("2 texts of test stand in train too, 1 with other labels, 1 more nearly so"),
            HasSubstr("t.jsonl:5 and r.jsonl:9 (equal)\n      a text\n"),
            HasSubstr("t.jsonl:6 and r.jsonl:8 (94 % alike)\n      one text\n"
                      "      one test\n")));
  EXPECT_LT(text.find("t.jsonl:5"), text.find("precision")) << "before the scores";
  const Json json = report_json(example(), run);
  EXPECT_EQ(json["findings"][0]["examples"][1]["note"], "94 % alike");
  EXPECT_EQ(json["leaks"][0]["texts"][1]["other_text"], "one test");
}

TEST(Findings, TellOfUnknownTokensFromOnePercentOn) {
  RunSummary run;
  run.data["test"].text_tokens = 1000;
  run.data["test"].unknown_tokens = 9;
  EXPECT_TRUE(findings(example(), run).empty());
  run.data["test"].unknown_tokens = 10;
  EXPECT_THAT(found_texts(example(), run),
              ::testing::ElementsAre(HasSubstr("1.0 % of the tokens of test are unknown")));
}

TEST(Findings, NameEqualTextsWithDifferentLabels) {
  RunSummary run;
  run.data["train"].conflicts = {1, 3, {{{"r.jsonl", 2, 0}, {"r.jsonl", 7, 0}}}};
  EXPECT_THAT(report_text(example(), run),
              HasSubstr("! 1 text of train has different labels in 3 rows: no answer can be right "
                        "in all of them\n    r.jsonl:2 and r.jsonl:7\n"));
}

TEST(Findings, SayThatValidationDataChoseTheModel) {
  RunSummary run;
  run.split = "validation";
  EXPECT_THAT(found_texts(example(), run), ::testing::ElementsAre(HasSubstr("validation data")));
}

TEST(ReportText, ShowsControlCharactersOfData) {
  Report r = example();
  r.baseline = "always \x1b[31mred";
  Counts counts = kCounts;
  counts.push_back({"e\x1b]0;ggs", {0, 0, 5}});
  metrics::add_classes(table(counts), r);
  r.sections.push_back(
      {"more", "\x1b[1m", Examples{{{{"t\x1b.jsonl", 1}, "a\x1b", "\x1b", "\x1b"}}, "error", "m"}});
  RunSummary run;
  run.leaks = {
      {"test", "train", 1, 0, 0, {{{"t\x1b.jsonl", 5, 0}, {"r.jsonl", 9, 0}, 1, "\x1b[2J"}}}};
  EXPECT_EQ(report_text(r, run).find('\x1b'), std::string::npos);
}

TEST(RunName, IsTheFolderThatTellsRunsApart) {
  EXPECT_EQ(run_name("runs/intents"), "intents");
  EXPECT_EQ(run_name("runs/intents/"), "intents");
  EXPECT_EQ(run_name("runs/intents/model"), "intents");
  EXPECT_EQ(run_name("/models/bert-base-cased"), "bert-base-cased");
}

TEST(Human, WritesNumbersAsPeopleReadThem) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(-1234567), "-1,234,567");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(619491328), "591 MiB");
  EXPECT_EQ(human_bytes(1.5 * 1024 * 1024 * 1024), "1.5 GiB");
  EXPECT_EQ(human_duration(0.412), "0.41 s");
  EXPECT_EQ(human_duration(59.94), "59.9 s");
  EXPECT_EQ(human_duration(59.96), "1 min 0 s");
  EXPECT_EQ(human_duration(754.2), "12 min 34 s");
  EXPECT_EQ(human_duration(3780), "1 h 3 min");
  EXPECT_EQ(human_score(0.85333), "0.8533");
  EXPECT_EQ(human_score(1), "1.0000");
  EXPECT_EQ(human_score(3), "3");
  EXPECT_EQ(human_score(std::nan("")), "–");
}

TEST(Human, TakesTheUnitFromTheKey) {
  EXPECT_EQ(human_name("peak_memory_bytes"), "peak memory");
  EXPECT_EQ(human_value("peak_memory_bytes", 619491328), "591 MiB");
  EXPECT_EQ(human_name("train_seconds"), "train time");
  EXPECT_EQ(human_value("train_seconds", 754.2), "12 min 34 s");
  EXPECT_EQ(human_value("tokens_per_second", 12345.678), "12,346");
  EXPECT_EQ(human_value("learning_rate", 5e-5), "5e-05");
  EXPECT_EQ(human_value("bf16", false), "no");
}

TEST(ShortPaths, AreAsLongAsTellsFilesApart) {
  const ShortPaths files({"/data/a/test.jsonl", "/data/b/test.jsonl", "/data/b/train.jsonl"});
  EXPECT_EQ(files.place({"/data/a/test.jsonl", 3, 0}), "a/test.jsonl:3");
  EXPECT_EQ(files.place({"/data/b/test.jsonl", 3, 0}), "b/test.jsonl:3");
  EXPECT_EQ(files.place({"/data/b/train.jsonl", 3, 0}), "train.jsonl:3");
  EXPECT_EQ(ShortPaths({"test.jsonl", "/x/test.jsonl"}).place({"test.jsonl", 1, 0}),
            "test.jsonl:1");
}

TEST(Report, NamesTheKnownMetrics) {
  EXPECT_EQ(example().value("accuracy"), 0.75);
  try {
    example().value("accurcy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("did you mean \"accuracy\""), HasSubstr("ece"), HasSubstr("loss")));
  }
}

TEST(Report, KnowsWhatOtherProgramsCallAMetric) {
  Report report = example();
  report.add({"macro_f1"}, {0.5});
  for (const auto& [asked, meant] :
       {std::pair("val_loss", "loss"), std::pair("acc", "accuracy"),
        std::pair("f1_macro", "macro_f1"), std::pair("test_accuracy", "accuracy")}) {
    EXPECT_THAT(testing_support::error_of([&, name = asked] { report.value(name); }),
                HasSubstr(std::string("did you mean \"") + meant + "\""));
  }
}

TEST(Report, RefusesTwoValuesOfOneKey) {
  for (const char* taken : {"metrics", "confusion", "data"}) {
    Report report = example();
    report.sections.push_back({taken, "more", Matrix()});
    EXPECT_THAT(testing_support::error_of([&] { report_json(report, {}); }),
                AllOf(HasSubstr(taken), HasSubstr("twice")));
  }
}

TEST(Report, SaysNothingOfAMetricThatATaskDoesNotHave) {
  Report report;
  report.task = "toy";
  report.n = 3;
  EXPECT_EQ(report_text(report, {}), "");
  EXPECT_TRUE(report.json()["score"].is_null());
  EXPECT_EQ(report_html(report, {}).find("class='score'"), std::string::npos);
}

TEST(Report, TellsWhereRowsCannotTellTheMetric) {
  Report report;
  report.metric = "pearson";
  report.n = 3;
  report.add({"pearson"}, {std::nan("")}, {{0, 1}}, {0});
  EXPECT_THAT(found_texts(report, {}),
              ::testing::ElementsAre("pearson cannot be told of these rows"));
  EXPECT_THAT(report_text(report, {}), HasSubstr("pearson  –"));
  EXPECT_TRUE(report.json()["score"].is_null());
  EXPECT_EQ(report_html(report, {}).find("nan"), std::string::npos);
}

TEST(ReportText, ShowsATableOfAnyColumns) {
  Report report;
  const ScoreTable made{.one = "cutoff",
                        .many = "cutoffs",
                        .columns = {{"recall", "recall", "recall"}, {"rows", "rows", "rows", true}},
                        .rows = {{"10", {0.5, 4}}, {"100", {std::nan(""), 4}}, {"1000", {}}}};
  report.sections = {{"cutoffs", "cutoffs", made}};
  EXPECT_THAT(report_text(report, {}), HasSubstr("         recall      rows\n\n"
                                                 "  10     0.5000         4\n"
                                                 " 100          –         4\n"
                                                 "1000                     \n\n"));
  EXPECT_EQ(report.json()["cutoffs"][0], (Json{{"label", "10"}, {"recall", 0.5}, {"rows", 4}}));
  EXPECT_TRUE(report.json()["cutoffs"][1]["recall"].is_null());
}

TEST(Report, ShowsPlainTablesInEachForm) {
  Report r;
  r.sections = {{"sets", "test sets",
                 PlainTable{.note = "a note",
                            .columns = {{"name", "set"}, {"n", "rows"}, {"score", "f1"}},
                            .rows = {{"near", 1000, 0.5}, {"fär", 7, nullptr}}}}};
  EXPECT_THAT(report_text(r, {}), HasSubstr("\ntest sets\n"
                                            "set   rows      f1\n"
                                            "near  1000  0.5000\n"
                                            "fär      7       –\n"
                                            "(a note)\n"));
  EXPECT_EQ(r.json()["sets"].dump(),
            R"([{"name":"near","n":1000,"score":0.5},{"name":"fär","n":7,"score":null}])");
  EXPECT_THAT(report_html(r, {}), AllOf(HasSubstr("Test sets"), HasSubstr("<td>1000</td>")));
}

}  // namespace
}  // namespace hone
