#include "tune/metrics_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using testing_support::TemporaryFolder;

Started started(int64_t step) {
  Started s;
  s.step = step;
  s.total_steps = 6;
  return s;
}

Stepped stepped(int64_t step, bool is_logged = true) {
  Stepped s{step, 6, static_cast<double>(step) / 2, 9.0, 1.5, 1e-5, 0.1, 100, 8};
  s.mean_loss = 1.0 / static_cast<double>(step);
  s.is_logged = is_logged;
  return s;
}

Evaluated evaluated(int64_t step) {
  Report report;
  report.metrics = {{"accuracy", 0.5}};
  return {step, static_cast<double>(step) / 2, 0.7, 0.2, report, true};
}

std::vector<Json> lines_of(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream text(read_file(path, ErrorKind::kData));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(MetricsLog, HasALineForEachLoggedStepAndEachEvaluation) {
  const TemporaryFolder folder;
  const Listener log = metrics_log(folder / "metrics.jsonl");
  log(started(0));
  log(stepped(1, false));
  log(stepped(2));
  log(evaluated(2));
  const auto lines = lines_of(folder / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["event"], "step");
  EXPECT_EQ(lines[0]["loss"], 0.5);
  EXPECT_EQ(lines[0]["samples"], 8);
  EXPECT_EQ(lines[1]["event"], "evaluation");
  EXPECT_EQ(lines[1]["metrics"]["accuracy"], 0.5);
  EXPECT_EQ(lines[1]["is_best"], true);
}

TEST(MetricsLog, HasARegularisersNumbersAndTheirCurves) {
  const TemporaryFolder folder;
  const Listener log = metrics_log(folder / "metrics.jsonl");
  log(started(0));
  Stepped step = stepped(2);
  step.numbers = {{"r_drop.divergence", 0.25}};
  log(step);
  EXPECT_EQ(lines_of(folder / "metrics.jsonl").at(0)["r_drop.divergence"], 0.25);
  const auto curves = read_curves(folder / "metrics.jsonl");
  ASSERT_TRUE(curves.contains("r_drop.divergence"));
  EXPECT_EQ(curves.at("r_drop.divergence").at(0).value, 0.25);
}

TEST(MetricsLog, OfAResumedRunDropsTheLinesPastItsStep) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  {
    const Listener log = metrics_log(path);
    log(started(0));
    for (const int64_t step : {1, 2, 3, 4}) log(stepped(step));
  }
  std::ofstream(path, std::ios::app) << "{\"event\": \"st";  // cut off by a kill
  {
    const Listener log = metrics_log(path);
    log(started(2));
    log(stepped(3));
  }
  std::vector<int64_t> steps;
  for (const Json& line : lines_of(path)) steps.push_back(line["step"].get<int64_t>());
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3}));
}

TEST(MetricsLog, OfANewRunStartsEmpty) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  write_file(path, "{\"event\": \"step\", \"step\": 1}\n");
  metrics_log(path)(started(0));
  EXPECT_EQ(read_file(path, ErrorKind::kData), "");
}

TEST(MetricsLog, GivesTheCurvesOfTheReport) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  const Listener log = metrics_log(path);
  log(started(0));
  log(stepped(2));
  log(evaluated(2));
  log(stepped(4));
  const auto curves = read_curves(path);
  ASSERT_EQ(curves.at("loss").size(), 2U);
  EXPECT_EQ(curves.at("loss")[1].step, 4);
  EXPECT_DOUBLE_EQ(curves.at("loss")[1].value, 0.25);
  EXPECT_DOUBLE_EQ(curves.at("learning rate")[0].value, 1e-5);
  EXPECT_DOUBLE_EQ(curves.at("validation loss")[0].value, 0.7);
  EXPECT_DOUBLE_EQ(curves.at("validation accuracy")[0].value, 0.5);
  EXPECT_TRUE(read_curves(folder / "none.jsonl").empty());
}

TEST(MetricsLog, LeavesOutDamagedLinesAndTellsOfThem) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  {
    const Listener log = metrics_log(path);
    log(started(0));
    log(stepped(1));
  }
  std::ofstream(path, std::ios::app)
      << R"({"event": "step", "step": "2", "epoch": 1})" << "\n"
      << R"({"event": "step", "step": 2, "epoch": []})" << "\n"
      << R"({"event": 5, "step": 2, "epoch": 1})" << "\n"
      << R"({"event": "evaluation", "step": 2, "epoch": 1, "metrics": 3})" << "\n"
      << R"([1, 2])" << "\n"
      << "\xFF\xFE\n";
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_curves(path).at("loss").size(), 1U);
  const std::string told = testing::internal::GetCapturedStderr();
  for (const int line : {2, 3, 4, 5, 6, 7})
    EXPECT_NE(told.find(path + ":" + std::to_string(line) + ": "), std::string::npos) << line;
  {
    const Listener log = metrics_log(path);
    log(started(2));
    log(stepped(3));
  }
  EXPECT_EQ(lines_of(path).size(), 2U);
}

TEST(MetricsLog, NamesTheFileThatCannotBeWritten) {
  const TemporaryFolder folder;
  try {
    metrics_log(folder / "no/such/folder/metrics.jsonl")(started(0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where().file, folder / "no/such/folder/metrics.jsonl");
  }
}

}  // namespace
}  // namespace hone
