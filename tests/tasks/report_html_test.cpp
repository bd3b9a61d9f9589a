#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tasks/metrics/classes.h"
#include "tasks/report.h"
#include "tasks/svg.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kNames = {"<spam>", "ham"};
const std::vector<metrics::ClassCounts> kTwoClasses = {{1, 1, 2}, {2, 3, 2}};

Report example_report() {
  Report report;
  report.task = "classify";
  report.metric = "accuracy";
  report.n = 4;
  report.add({"accuracy", "macro_f1"}, {0.75, 0.7}, {{0.5, 1.0}}, {0.5});
  report.baseline = "always <spam>";
  report.sections = {
      {"per_class", "classes", metrics::class_table(kNames, kTwoClasses, "accuracy")},
      {"confusion", "confusion", Matrix{{"<spam>", "ham"}, {{1, 1}, {0, 2}}, "gold", "<said>"}},
      {"reliability", "calibration",
       Curve{"confidence", "<y>", "rows", "<note>", {{0.55, 0.5, 2, 8.0 / 15, 9.0 / 15}}}},
      {"mistakes", "most confident <mistakes>",
       Examples{{{Where{"/data/test.jsonl", 3, 0}, "<script>alert(1)</script>\x1b", "<spam>", "ham",
                  0.9}},
                "<b>",
                "mistake_measure"}}};
  return report;
}

TEST(ReportHtml, EscapesEverythingThatCameFromData) {
  RunSummary run;
  run.title = "a <b> & 'c'";
  const std::string page = report_html(example_report(), run);
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  for (const char* raw : {"<spam>", "<said>", "<y>", "<note>", "<mistakes>", "<b></", "\x1b"})
    EXPECT_THAT(page, Not(HasSubstr(raw)));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, HasSubstr("a &lt;b&gt; &amp; &#39;c&#39;"));
}

// What a page says, without its tags.
std::string words_of(const std::string& page) {
  std::string words;
  bool is_tag = false;
  for (const char c : page) {
    is_tag = is_tag || c == '<';
    if (!is_tag) words += c;
    is_tag = is_tag && c != '>';
  }
  return words;
}

TEST(ReportHtml, NamesMistakesByFileAndLineAndEachPathOnce) {
  const std::string words = words_of(report_html(example_report(), {}));
  EXPECT_THAT(words, HasSubstr("test.jsonl:3"));
  EXPECT_EQ(words.find("/data/test.jsonl"), words.rfind("/data/test.jsonl"));
}

TEST(ReportHtml, ShowsIntervalsAndTheBaseline) {
  const std::string words = words_of(report_html(example_report(), {}));
  EXPECT_THAT(words, HasSubstr("95 % interval 0.5000 to 1.0000"));
  EXPECT_THAT(words, HasSubstr("baseline (always &lt;spam&gt;): 0.5000"));
}

TEST(ReportHtml, ShowsOneEvaluationAsNumbers) {
  RunSummary run;
  run.curves["validation accuracy"] = {{35, 1, 0.625}};
  const std::string page = report_html(Report(), run);
  EXPECT_THAT(page, Not(HasSubstr("<svg")));
  EXPECT_THAT(words_of(page), HasSubstr("validation accuracy0.625"));
  run.curves["validation accuracy"].push_back({70, 2, 0.75});
  EXPECT_THAT(report_html(Report(), run), HasSubstr("<svg"));
}

TEST(ReportHtml, FoldsManyClassesAndShowsTheWorst) {
  Report report;
  std::vector<std::string> names;
  std::vector<metrics::ClassCounts> counts(118, {5, 5, 5});
  counts[77] = {1, 5, 5};
  for (size_t i = 0; i < counts.size(); ++i) names.push_back("c" + std::to_string(i));
  metrics::add_classes(metrics::class_table(names, counts, "accuracy"), report);
  const std::string page = report_html(report, {}), words = words_of(page);
  EXPECT_THAT(words, HasSubstr("show all 118 classes"));
  EXPECT_LT(words.find("c77"), words.find("show all"));
  EXPECT_EQ(words.find("c50"), words.rfind("c50"));
  EXPECT_GT(words.find("c50"), words.find("show all"));
}

TEST(ReportHtml, NeedsNothingFromOutside) {
  const std::string page = report_html(example_report(), {});
  for (const char* outside : {"http://", "https://", "src=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(ReportHtml, ShowsLeakedTextsWithBothPlaces) {
  RunSummary run;
  run.leaks = {{"test",
                "train",
                2,
                1,
                0,
                {{Where{"t.jsonl", 5, 0}, Where{"r.jsonl", 9, 0}, 0.9, "the <one>", "the other"}}}};
  const std::string words = words_of(report_html(example_report(), run));
  for (const char* shown : {"2 texts of test stand in train too", "t.jsonl:5", "r.jsonl:9",
                            "90 % alike", "the &lt;one&gt;", "the other"})
    EXPECT_THAT(words, HasSubstr(shown));
  EXPECT_LT(words.find("t.jsonl:5"), words.find("Scores"));
}

TEST(ReportHtml, NamesRowsLeftOutAndRepaired) {
  RunSummary run;
  run.data["test"].examples = {{{"/d/t.jsonl", 4, 0}, "no label"}};
  run.data["test"].repairs = {{{"/d/t.conll", 9, 0}, "I-X became B-X"}};
  const std::string words = words_of(report_html(example_report(), run));
  for (const char* shown : {"t.jsonl:4", "no label", "t.conll:9", "I-X became B-X"})
    EXPECT_THAT(words, HasSubstr(shown));
}

TEST(ReportHtml, LeavesOutSectionsWithoutData) {
  Report report;
  report.metric = "pearson";
  const std::string page = report_html(report, {});
  EXPECT_THAT(page, Not(HasSubstr("<h2>Confusion</h2>")));
  EXPECT_THAT(page, Not(HasSubstr("<h2>Calibration</h2>")));
  EXPECT_THAT(page, Not(HasSubstr("<h2>Learning curves</h2>")));
}

TEST(Svg, LeavesOutPointsThatAreNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               inf = std::numeric_limits<double>::infinity();
  const std::string chart =
      svg::line_chart({{"loss", {{1, 2}, {2, nan}, {3, inf}, {4, 1}}}}, "step");
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
  EXPECT_THAT(chart, Not(HasSubstr("inf")));
  EXPECT_EQ(svg::line_chart({{"loss", {{1, nan}}}}, "step"), "");
}

TEST(Svg, TicksAreRoundAndCoverTheRange) {
  for (double low : {0.0, -3.7, 0.013, 1e-6}) {
    for (double extent : {1e-5, 0.3, 7.0, 12345.0}) {
      const double high = low + extent;
      const std::vector<double> ticks = svg::nice_ticks(low, high, 5);
      ASSERT_GE(ticks.size(), 3u);
      ASSERT_LE(ticks.size(), 12u);
      const double step = ticks[1] - ticks[0],
                   mantissa = step / std::pow(10, std::floor(std::log10(step * 1.0001)));
      EXPECT_LE(ticks.front(), low + 1e-9 * extent);
      EXPECT_GE(ticks.back() + step, high);
      const double rounded = std::round(mantissa);
      EXPECT_TRUE(rounded == 1 || rounded == 2 || rounded == 5) << mantissa;
      EXPECT_NEAR(mantissa, rounded, 1e-3);
    }
  }
}

TEST(Svg, BarsStandAtTheirConfidence) {
  const auto left_of = [](const std::string& chart) {
    const std::string bar = "<rect class='bar' x='";
    return std::stod(chart.substr(chart.find(bar) + bar.size()));
  };
  const Curve::Bin low{0.05, 0.5, 3, 0, 1.0 / 15}, high{0.95, 1, 3, 14.0 / 15, 1};
  const auto chart_of = [](std::vector<Curve::Bin> bins) {
    return svg::bar_chart({.x = "confidence", .y = "accuracy", .bins = std::move(bins)});
  };
  EXPECT_EQ(left_of(chart_of({high})), left_of(chart_of({high, low})))
      << "whatever other bins hold";
  EXPECT_GT(left_of(chart_of({high})), left_of(chart_of({low})) + 200);
}

size_t times(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Svg, ParallelLinesSetTheBestOneOffByMoreThanItsColour) {
  const ParallelLines picture{
      .axes = {{"train.learning_rate", true}, {"optim", false, {"<adamw>", "lion"}}, {"f1"}},
      .lines = {{"trial-002", {1e-3, 0, 0.5}, 0.5, false}, {"trial-001", {1e-5, 1, 0.9}, 1, true}}};
  const std::string drawn = svg::parallel_lines(picture);
  EXPECT_EQ(times(drawn, "<circle class='dot"), 3U) << "a dot on each axis, of the best alone";
  EXPECT_EQ(times(drawn, "class='line best"), 1U);
  EXPECT_EQ(times(drawn, ">1e-05<"), 2U) << "the end of the scale, and the best one's value";
  EXPECT_EQ(times(drawn, ">0.001<"), 1U);
  EXPECT_EQ(times(drawn, ">learning_rate<"), 1U);
  EXPECT_THAT(drawn, AllOf(HasSubstr("&lt;adamw&gt;"), Not(HasSubstr("<adamw>"))));
}

TEST(Svg, HeatMapTitlesEveryFilledCell) {
  const std::string map = svg::heat_map({"a", "b"}, {{3, 1}, {0, 2}});
  EXPECT_THAT(map, HasSubstr("a → b: 1"));
  EXPECT_THAT(map, HasSubstr("b → b: 2"));
  EXPECT_THAT(map, Not(HasSubstr("b → a")));
}

}  // namespace
}  // namespace hone
