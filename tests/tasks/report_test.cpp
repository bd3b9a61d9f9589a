#include "tasks/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Report example() {
  Report r;
  r.task = "classify";
  r.metric = "accuracy";
  r.score = 0.75;
  r.n = 4;
  r.metrics = {{"accuracy", 0.75}, {"ece", std::nan("")}};
  r.intervals["accuracy"] = {0.5, 1};
  r.per_class = {{"ham", 2.0 / 3, 1, 0.8, 2}, {"spâm", 1, 0.5, 2.0 / 3, 2}};
  r.averages = {{"accuracy", 0.75, 0.75, 0.75, 4},
                {"macro avg", 5.0 / 6, 0.75, 11.0 / 15, 4},
                {"weighted avg", 5.0 / 6, 0.75, 11.0 / 15, 4}};
  r.confusion = Confusion{{"ham", "spâm"}, {{2, 0}, {1, 1}}};
  r.reliability = {{0.9, 0.75, 4}};
  r.mistakes = {{{"test.jsonl", 3, 0}, "win a prize", "spâm", "ham", 0.875}};
  return r;
}

// Printed by sklearn.metrics.classification_report(…, digits=4) for the same counts.
TEST(ReportText, LooksLikeClassificationReport) {
  EXPECT_THAT(report_text(example()),
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
  EXPECT_THAT(report_text(example()),
              AllOf(HasSubstr("accuracy  0.7500  [0.5000, 1.0000]"),
                    HasSubstr("test.jsonl:3: spâm, predicted ham (0.875): win a prize")));
}

TEST(ReportText, LeavesOutWhatATaskDoesNotHave) {
  Report r;
  r.metrics = {{"mse", 0.5}};
  EXPECT_THAT(report_text(r), AllOf(HasSubstr("mse  0.5000"), Not(HasSubstr("precision")),
                                    Not(HasSubstr("mistakes"))));
}

TEST(ReportJson, HoldsWhatTheReportHolds) {
  const Json json = Json::parse(example().json().dump());
  EXPECT_EQ(json["metrics"]["accuracy"], 0.75);
  EXPECT_TRUE(json["metrics"]["ece"].is_null()) << "JSON has no NaN";
  EXPECT_EQ(json["intervals"]["accuracy"], Json::array({0.5, 1.0}));
  EXPECT_EQ(json["confusion"]["counts"], Json::array({{2, 0}, {1, 1}}));
  EXPECT_EQ(json["mistakes"][0]["file"], "test.jsonl");
  EXPECT_EQ(json["mistakes"][0]["line"], 3);
  EXPECT_EQ(json["mistakes"][0]["predicted"], "ham");
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

TEST(Report, NamesTheKnownMetrics) {
  EXPECT_EQ(example().value("accuracy"), 0.75);
  try {
    example().value("accurcy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("did you mean \"accuracy\""), HasSubstr("ece")));
  }
}

TEST(Report, KnowsWhichWayIsBetter) {
  EXPECT_TRUE(greater_is_better("f1"));
  EXPECT_FALSE(greater_is_better("loss"));
  EXPECT_FALSE(greater_is_better("hamming_loss"));
}

}  // namespace
}  // namespace hone
