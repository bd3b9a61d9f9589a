// Several test sets of one run.
#include "run/test_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"
#include "tasks/metrics/bootstrap.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;

// Accuracy of `right` of `n` rows, resampled.
Report accuracy(int64_t right, int64_t n) {
  Report report;
  report.metric = "accuracy";
  report.n = n;
  const auto share = [&](std::span<const int32_t> weights) {
    double sum = 0;
    for (int64_t i = 0; i < right; ++i) sum += weights[static_cast<size_t>(i)];
    return std::vector{sum / static_cast<double>(n)};
  };
  report.add({"accuracy"}, {static_cast<double>(right) / static_cast<double>(n)},
             metrics::bootstrap(n, share));
  return report;
}

// Two shares of independent samples: the normal approximation of their difference.
TEST(TestSets, HaveTheIntervalOfADifference) {
  const Report first = accuracy(900, 1000), other = accuracy(300, 400);
  const Section section = test_sets_section({{"test", &first}, {"far", &other}});
  const std::vector<Json>& row = std::get<PlainTable>(section.content).rows.at(1);
  const double spread = 1.96 * std::sqrt(0.9 * 0.1 / 1000 + 0.75 * 0.25 / 400);
  EXPECT_DOUBLE_EQ(row.at(5).get<double>(), 0.9 - 0.75);
  EXPECT_NEAR(row.at(6).get<double>(), 0.15 - spread, 0.2 * spread);
  EXPECT_NEAR(row.at(7).get<double>(), 0.15 + spread, 0.2 * spread);
}

// Of equal sets the resamples are the same numbers; they must not be taken in pairs.
TEST(TestSets, AreIndependentThoughTheyAreAsLarge) {
  const Report first = accuracy(80, 100), same = accuracy(80, 100);
  const Section section = test_sets_section({{"test", &first}, {"again", &same}});
  const std::vector<Json>& row = std::get<PlainTable>(section.content).rows.at(1);
  EXPECT_EQ(row.at(5), 0);
  EXPECT_NEAR(row.at(7).get<double>(), 1.96 * std::sqrt(2 * 0.8 * 0.2 / 100), 0.03);
}

TEST(TestSets, LoseWhereAMetricGrowsThatShouldNot) {
  Report first, other;
  first.metric = other.metric = "perplexity";
  first.add({less_is_better("perplexity")}, {10});
  other.add({less_is_better("perplexity")}, {14});
  const Section section = test_sets_section({{"test", &first}, {"far", &other}});
  EXPECT_EQ(std::get<PlainTable>(section.content).rows.at(1).at(5), 4);
  EXPECT_TRUE(std::get<PlainTable>(section.content).rows.at(1).at(6).is_null());
}

class SeveralTestSets : public testing::Test, public testing_support::RunInFolder {
 protected:
  // `tests` of the data section.
  RunConfig with_tests(const std::string& tests) const {
    return config("", {"data.tests=" + tests});
  }
};

TEST_F(SeveralTestSets, AreMeasuredAsEachAloneIs) {
  write("far", 31, 8);
  const RunResult result = fine_tune(with_tests("{far: {path: " + *this / "far.jsonl" + "}}"));
  const std::vector<Record> far = testing_support::tiny_texts(31, "far", 8);
  const Json alone = result.pipeline->evaluate(far).report.json();
  const Json own = read_json(*this / "run/tests/far/report.json", ErrorKind::kData);
  EXPECT_EQ(own["score"], alone["score"]);
  EXPECT_EQ(own["split"], "tests.far");
  const Json report = read_json(*this / "run/report.json", ErrorKind::kData);
  ASSERT_EQ(report["test_sets"].size(), 2u);
  EXPECT_EQ(report["n"], 15);
  EXPECT_EQ(report["test_sets"][0]["score"], report["score"]);
  EXPECT_EQ(report["test_sets"][1]["score"], alone["score"]);
  EXPECT_EQ(report["test_sets"][1]["n"], 31);
  for (const char* form : {"report.txt", "report.html"})
    EXPECT_THAT(read_file(*this / "run/" + form, ErrorKind::kData), HasSubstr("far")) << form;
  EXPECT_TRUE(std::filesystem::exists(*this / "run/tests/far/predictions.jsonl"));
}

TEST_F(SeveralTestSets, StandInForTestDataThatAreNotThere) {
  write("far", 9, 8);
  RunConfig config = this->config("", {"data={train: {path: " + *this / "train.jsonl" +
                                       "}, tests: {far: {path: " + *this / "far.jsonl" + "}}}"});
  const RunResult result = fine_tune(config);
  EXPECT_EQ(result.test->report.n, 9);
  EXPECT_EQ(result.test->summary.split, "tests.far");
}

TEST_F(SeveralTestSets, WithoutGoldEndTheRunBeforeItTrains) {
  write_file(*this / "bare.jsonl", "{\"text\": \"word1 word2\"}\n");
  EXPECT_THAT(
      error_of([&] { fine_tune(with_tests("{bare: {path: " + *this / "bare.jsonl" + "}}")); }),
      AllOf(HasSubstr("bare.jsonl:1"), HasSubstr("\"label\"")));
  EXPECT_FALSE(std::filesystem::exists(*this / "run/model"));
}

TEST_F(SeveralTestSets, HaveNamesThatAreFolders) {
  EXPECT_THAT(error_of([&] { with_tests("{\"a/b\": {path: x.jsonl}}"); }),
              HasSubstr("letters, digits"));
}

}  // namespace
}  // namespace hone
