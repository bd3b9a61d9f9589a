#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tasks/report.h"
#include "tasks/svg.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report example_report() {
  Report report;
  report.task = "classify";
  report.metric = "accuracy";
  report.score = 0.75;
  report.n = 4;
  report.metrics = {{"accuracy", 0.75}, {"macro_f1", 0.7}};
  report.intervals["accuracy"] = {0.5, 1.0};
  report.per_class = {{"<spam>", 1.0, 0.5, 2.0 / 3, 2}, {"ham", 2.0 / 3, 1.0, 0.8, 2}};
  report.confusion = Confusion{{"<spam>", "ham"}, {{1, 1}, {0, 2}}};
  report.reliability = {{0.55, 0.5, 2}, {0.95, 1.0, 2}};
  report.mistakes = {
      {Where{"test.jsonl", 3, 0}, "<script>alert(1)</script>", "<spam>", "ham", 0.9}};
  return report;
}

TEST(ReportHtml, EscapesEverythingThatCameFromData) {
  RunSummary run;
  run.title = "a <b> & 'c'";
  const std::string page = report_html(example_report(), run);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<spam>")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, HasSubstr("a &lt;b&gt; &amp; &#39;c&#39;"));
}

TEST(ReportHtml, NamesMistakesByFileAndLine) {
  EXPECT_THAT(report_html(example_report(), {}), HasSubstr("test.jsonl:3"));
}

TEST(ReportHtml, NeedsNothingFromOutside) {
  const std::string page = report_html(example_report(), {});
  for (const char* outside : {"http://", "https://", "src=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(ReportHtml, ShowsLeakedTextsWithBothPlaces) {
  RunSummary run;
  run.leaks = {{"test", "train", 2, 1, {{Where{"t.jsonl", 5, 0}, Where{"r.jsonl", 9, 0}}}}};
  const std::string page = report_html(example_report(), run);
  EXPECT_THAT(page, HasSubstr("2 texts of test also stand in train"));
  EXPECT_THAT(page, HasSubstr("t.jsonl:5"));
  EXPECT_THAT(page, HasSubstr("r.jsonl:9"));
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

TEST(Svg, HeatMapTitlesEveryFilledCell) {
  const std::string map = svg::heat_map({"a", "b"}, {{3, 1}, {0, 2}});
  EXPECT_THAT(map, HasSubstr("a → b: 1"));
  EXPECT_THAT(map, HasSubstr("b → b: 2"));
  EXPECT_THAT(map, Not(HasSubstr("b → a")));
}

}  // namespace
}  // namespace hone
