#include "tune/best_tracker.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hone {
namespace {

TEST(BestTracker, StopsAfterPatienceEvaluationsWithoutImprovement) {
  BestTracker tracker(/*greater_is_better=*/true, /*patience=*/2, /*threshold=*/0);
  EXPECT_TRUE(tracker.add(1, 0.5));
  EXPECT_FALSE(tracker.add(2, 0.5));  // equal is no improvement
  EXPECT_FALSE(tracker.is_exhausted());
  EXPECT_TRUE(tracker.add(3, 0.6));
  EXPECT_FALSE(tracker.add(4, 0.1));
  EXPECT_FALSE(tracker.is_exhausted());
  EXPECT_FALSE(tracker.add(5, 0.59));
  EXPECT_TRUE(tracker.is_exhausted());
  EXPECT_EQ(tracker.best_step(), 3);
  EXPECT_DOUBLE_EQ(*tracker.best_score(), 0.6);
}

TEST(BestTracker, KeepsAnImprovementBelowTheThresholdButCountsItAgainstPatience) {
  BestTracker tracker(true, 1, 0.1);
  tracker.add(1, 0.5);
  EXPECT_TRUE(tracker.add(2, 0.55));
  EXPECT_TRUE(tracker.is_exhausted());
  EXPECT_EQ(tracker.best_step(), 2);
}

TEST(BestTracker, TakesSmallerAsBetterForALoss) {
  BestTracker tracker(false, 0, 0);
  tracker.add(1, 0.5);
  EXPECT_TRUE(tracker.add(2, 0.4));
  EXPECT_FALSE(tracker.add(3, 0.45));
  EXPECT_FALSE(tracker.is_exhausted());  // patience 0: off
}

TEST(BestTracker, NeverTakesANumberThatIsNoneForTheBest) {
  BestTracker tracker(true, 1, 0);
  EXPECT_FALSE(tracker.add(1, NAN));
  EXPECT_FALSE(tracker.best_score().has_value());
  EXPECT_TRUE(tracker.is_exhausted());
  BestTracker loss(false, 0, 0);
  EXPECT_FALSE(loss.add(1, -INFINITY));
}

TEST(BestTracker, GoesOnFromItsState) {
  BestTracker whole(true, 3, 0), first(true, 3, 0);
  const std::vector<double> scores = {0.3, 0.5, 0.4, 0.45, 0.2};
  for (size_t i = 0; i < scores.size(); ++i) whole.add(static_cast<int64_t>(i), scores[i]);
  for (size_t i = 0; i < 3; ++i) first.add(static_cast<int64_t>(i), scores[i]);
  BestTracker second(true, 3, 0);
  second.load_state(Json::parse(first.state().dump()));
  for (size_t i = 3; i < 5; ++i) second.add(static_cast<int64_t>(i), scores[i]);
  EXPECT_EQ(second.state(), whole.state());
  EXPECT_TRUE(second.is_exhausted());
}

TEST(Criterion, FollowsTheTaskThenTheName) {
  const TaskInfo info{.name = "t",
                      .help = "",
                      .main_metric = "accuracy",
                      .greater_is_better = true,
                      .make = nullptr,
                      .restore = nullptr};
  EXPECT_TRUE(criterion_named("", info).greater_is_better);
  EXPECT_FALSE(criterion_named("loss", info).greater_is_better);
  EXPECT_FALSE(criterion_named("mse", info).greater_is_better);
  EXPECT_TRUE(criterion_named("macro_f1", info).greater_is_better);
  EXPECT_EQ(criterion_named("eval_loss", info).metric, "loss");
  EXPECT_FALSE(criterion_named("eval_loss", info).greater_is_better);
  EXPECT_EQ(criterion_named("eval_accuracy", info).metric, "accuracy");
}

TEST(Criterion, TakesItsValueFromTheReport) {
  Report report;
  report.score = 0.7;
  report.metrics = {{"macro_f1", 0.6}};
  EXPECT_EQ((Criterion{"", true}.value(report, 0.3)), 0.7);
  EXPECT_EQ((Criterion{"loss", false}.value(report, 0.3)), 0.3);
  EXPECT_EQ((Criterion{"macro_f1", true}.value(report, 0.3)), 0.6);
  EXPECT_THROW((Criterion{"macro_f", true}.value(report, 0.3)), Error);
}

}  // namespace
}  // namespace hone
