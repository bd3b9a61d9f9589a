// What needs no model, beside each score.
#include <gtest/gtest.h>

#include "tasks/task.h"

namespace hone {
namespace {

using Pairs = std::vector<std::pair<const char*, const char*>>;  // gold row, result

Report scored(const std::string& task, const std::string& options, const Pairs& pairs) {
  Config config = Config::parse(options, "test", {});
  const auto scorer = task_named(task).make(config, 0)->make_scorer();
  for (const auto& [gold, result] : pairs)
    scorer->add(Record{Json::parse(gold), nullptr, 1}, Json::parse(result));
  return scorer->report();
}

double baseline(const Report& report, const std::string& metric) {
  for (const Metric& m : report.metrics) {
    if (m.name == metric) return m.baseline.value();
  }
  throw std::out_of_range(metric);
}

TEST(Baseline, OfOneLabelIsTheMostFrequentClass) {
  const Report report = scored("classify", "{}",
                               {{R"({"label": "a"})", R"({"label": "b"})"},
                                {R"({"label": "b"})", R"({"label": "b"})"},
                                {R"({"label": "b"})", R"({"label": "a"})"},
                                {R"({"label": "b"})", R"({"label": "b"})"}});
  EXPECT_EQ(report.baseline, "always b");
  EXPECT_DOUBLE_EQ(report.score, 0.5);
  EXPECT_DOUBLE_EQ(baseline(report, "accuracy"), 0.75);
  EXPECT_DOUBLE_EQ(baseline(report, "macro_f1"), (0 + 6.0 / 7) / 2);
  EXPECT_DOUBLE_EQ(baseline(report, "mcc"), 0);
}

TEST(Baseline, OfSeveralLabelsIsTheMostFrequentOne) {
  const Report report = scored("classify", "type: multi",
                               {{R"({"label": ["a", "b"]})", R"({"label": ["a"]})"},
                                {R"({"label": ["b"]})", R"({"label": ["b"]})"},
                                {R"({"label": []})", R"({"label": []})"}});
  EXPECT_EQ(report.baseline, "always b");
  EXPECT_DOUBLE_EQ(baseline(report, "micro_f1"), 2.0 * 2 / (3 + 3));
  EXPECT_DOUBLE_EQ(baseline(report, "subset_accuracy"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(baseline(report, "hamming_loss"), 2.0 / 6);
}

TEST(Baseline, OfNumbersIsTheBestConstant) {
  const Report report = scored("classify", "type: regression",
                               {{R"({"label": 1})", R"({"label": 1})"},
                                {R"({"label": 2})", R"({"label": 3})"},
                                {R"({"label": 9})", R"({"label": 8})"}});
  EXPECT_DOUBLE_EQ(baseline(report, "pearson"), 0);
  EXPECT_DOUBLE_EQ(baseline(report, "mse"), (9.0 + 4 + 25) / 3);  // the mean is 4
  EXPECT_DOUBLE_EQ(baseline(report, "mae"), (1.0 + 0 + 7) / 3);   // the median is 2
  EXPECT_EQ(report.json()["mistake_measure"], "error");
}

TEST(Baseline, OfEntitiesIsToFindNone) {
  const Report report =
      scored("ner", "{}",
             {{R"({"tokens": ["a", "b", "c", "d"], "tags": ["B-X", "O", "O", "O"]})",
               R"({"tags": ["B-X", "B-X", "O", "O"]})"}});
  EXPECT_EQ(report.baseline, "no entities");
  EXPECT_DOUBLE_EQ(baseline(report, "f1"), 0);
  EXPECT_DOUBLE_EQ(baseline(report, "accuracy"), 0.75);
}

TEST(Baseline, IsNoneOfNothing) {
  for (const char* type : {"single", "multi", "regression"}) {
    const Report report = scored("classify", std::string("type: ") + type, {});
    EXPECT_EQ(report.baseline, "") << type;
    for (const Metric& metric : report.metrics) EXPECT_FALSE(metric.baseline) << metric.name;
  }
}

TEST(Predicted, IsCountedForEachClass) {
  const Report report = scored(
      "classify", "{}",
      {{R"({"label": "a"})", R"({"label": "b"})"}, {R"({"label": "b"})", R"({"label": "b"})"}});
  const Json classes = report.json()["per_class"];
  EXPECT_EQ(classes[0]["predicted"], 0);
  EXPECT_EQ(classes[1]["predicted"], 2);
}

}  // namespace
}  // namespace hone
