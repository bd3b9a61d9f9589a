// A rate that rises until training breaks.
#include "tune/find_rate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/tiny_run.h"

namespace hone {
namespace {

using testing_support::tiny_options;
using testing_support::TinyRun;

FoundRate find(const FindRateOptions& search, const std::atomic<bool>* stop = nullptr) {
  TinyRun run("classify", {.dropout = 0}, 42);
  run.load_pipeline();
  return find_rate(run.pipeline(), run.store(), tiny_options(), {}, search, stop);
}

TEST(JudgeRates, FindTheSteepestFallBeforeTheLowestLoss) {
  std::vector<RateTrial> trials;
  for (int i = 0; i < 60; ++i) {  // falls around 1e-3, lowest at 1e-2, then rises
    const double x = -6 + 0.1 * i;
    const double loss = 2 - 1 / (1 + std::exp(-8 * (x + 3))) + (x > -2 ? (x + 2) * (x + 2) : 0);
    trials.push_back({std::pow(10, x), loss, loss});
  }
  const FoundRate found = judge_rates(trials);
  EXPECT_NEAR(std::log10(found.steepest), -3, 0.11);
  EXPECT_GT(std::log10(found.lowest_loss), -2.6);
  EXPECT_LT(std::log10(found.lowest_loss), -1.8);
}

TEST(JudgeRates, AdviseNoMoreThanATenthOfTheLowestLosssRate) {
  FoundRate found{.steepest = 1e-3, .lowest_loss = 1e-3};
  EXPECT_DOUBLE_EQ(found.advised(), 1e-4);
  found.lowest_loss = 1;
  EXPECT_DOUBLE_EQ(found.advised(), 1e-3);
}

TEST(JudgeRates, OfALossThatOnlyRisesFindNone) {
  std::vector<RateTrial> trials;
  for (int i = 0; i < 30; ++i) trials.push_back({std::pow(10, -6 + 0.1 * i), 1.0 + i, 1.0 + i});
  EXPECT_EQ(judge_rates(trials).steepest, 0);
  EXPECT_EQ(judge_rates({}).steepest, 0);
}

TEST(FindRate, RatesRiseByAnEvenFactorAndTheLossIsFinite) {
  const FoundRate found = find({.lowest = 1e-6, .highest = 1e-2, .steps = 41});
  ASSERT_EQ(found.trials.size(), 41U);
  EXPECT_FALSE(found.diverged);
  EXPECT_NEAR(found.trials.front().rate, 1e-6, 1e-12);
  EXPECT_NEAR(found.trials.back().rate, 1e-2, 1e-8);
  for (size_t i = 1; i < found.trials.size(); ++i) {
    EXPECT_NEAR(found.trials[i].rate / found.trials[i - 1].rate, std::pow(10, 0.1), 1e-9);
    EXPECT_TRUE(std::isfinite(found.trials[i].loss));
  }
}

TEST(FindRate, EndsWhereTrainingBreaks) {
  const FoundRate found = find({.lowest = 1e-5, .highest = 1e4, .steps = 90});
  EXPECT_TRUE(found.diverged);
  EXPECT_LT(found.trials.size(), 90U);
  EXPECT_GT(found.steepest, 1e-5);
  EXPECT_LT(found.steepest, 10);
}

TEST(FindRate, IsTheSameAgain) {
  const FindRateOptions search = {.lowest = 1e-5, .highest = 1e-2, .steps = 30};
  const FoundRate once = find(search), again = find(search);
  EXPECT_EQ(once.steepest, again.steepest);
  for (size_t i = 0; i < 30; ++i) EXPECT_EQ(once.trials[i].loss, again.trials[i].loss);
}

TEST(FindRate, StopsWhenItIsAsked) {
  const std::atomic<bool> stop{true};
  EXPECT_TRUE(find({}, &stop).trials.empty());
}

}  // namespace
}  // namespace hone
