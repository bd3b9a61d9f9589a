#include "tune/best_tracker.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hone {
namespace {

Metric accuracy(double value) { return {.name = "accuracy", .value = value}; }
Metric loss(double value) { return {.name = "loss", .value = value, .greater_is_better = false}; }

TEST(BestTracker, StopsAfterPatienceEvaluationsWithoutImprovement) {
  BestTracker tracker(/*patience=*/2, /*threshold=*/0);
  EXPECT_TRUE(tracker.add(1, accuracy(0.5)));
  EXPECT_FALSE(tracker.add(2, accuracy(0.5)));  // equal is no improvement
  EXPECT_FALSE(tracker.is_exhausted());
  EXPECT_TRUE(tracker.add(3, accuracy(0.6)));
  EXPECT_FALSE(tracker.add(4, accuracy(0.1)));
  EXPECT_FALSE(tracker.is_exhausted());
  EXPECT_FALSE(tracker.add(5, accuracy(0.59)));
  EXPECT_TRUE(tracker.is_exhausted());
  EXPECT_EQ(tracker.best_step(), 3);
  EXPECT_DOUBLE_EQ(*tracker.best_score(), 0.6);
}

TEST(BestTracker, KeepsAnImprovementBelowTheThresholdButCountsItAgainstPatience) {
  BestTracker tracker(1, 0.1);
  tracker.add(1, accuracy(0.5));
  EXPECT_TRUE(tracker.add(2, accuracy(0.55)));
  EXPECT_TRUE(tracker.is_exhausted());
  EXPECT_EQ(tracker.best_step(), 2);
}

TEST(BestTracker, TakesSmallerAsBetterForALoss) {
  BestTracker tracker(0, 0);
  tracker.add(1, loss(0.5));
  EXPECT_TRUE(tracker.add(2, loss(0.4)));
  EXPECT_FALSE(tracker.add(3, loss(0.45)));
  EXPECT_FALSE(tracker.is_exhausted());  // patience 0: off
}

TEST(BestTracker, NeverTakesANumberThatIsNoneForTheBest) {
  BestTracker tracker(1, 0);
  EXPECT_FALSE(tracker.add(1, accuracy(NAN)));
  EXPECT_FALSE(tracker.best_score().has_value());
  EXPECT_TRUE(tracker.is_exhausted());
  EXPECT_FALSE(BestTracker(0, 0).add(1, loss(-INFINITY)));
}

TEST(BestTracker, GoesOnFromItsState) {
  BestTracker whole(3, 0), first(3, 0);
  const std::vector<double> scores = {0.3, 0.5, 0.4, 0.45, 0.2};
  for (size_t i = 0; i < scores.size(); ++i)
    whole.add(static_cast<int64_t>(i), accuracy(scores[i]));
  for (size_t i = 0; i < 3; ++i) first.add(static_cast<int64_t>(i), accuracy(scores[i]));
  BestTracker second(3, 0);
  second.load_state(Json::parse(first.state().dump()));
  for (size_t i = 3; i < 5; ++i) second.add(static_cast<int64_t>(i), accuracy(scores[i]));
  EXPECT_EQ(second.state(), whole.state());
  EXPECT_TRUE(second.is_exhausted());
}

TEST(Criterion, TakesValueAndDirectionFromTheReport) {
  Report report;
  report.metric = "macro_f1";
  report.add({"macro_f1", less_is_better("mse")}, {0.6, 0.2});
  const auto judged = [&](const char* name) { return criterion_named(name).of(report, 0.3); };
  EXPECT_EQ(judged("").value, 0.6);
  EXPECT_TRUE(judged("").greater_is_better);
  EXPECT_EQ(judged("mse").value, 0.2);
  EXPECT_FALSE(judged("mse").greater_is_better);
  for (const char* name : {"loss", "eval_loss"}) {
    EXPECT_EQ(judged(name).value, 0.3);
    EXPECT_FALSE(judged(name).greater_is_better);
  }
  EXPECT_EQ(judged("eval_macro_f1").name, "macro_f1");
  EXPECT_THROW(judged("macro_f"), Error);
}

TEST(Criterion, IsTheLossWhereATaskHasNoMetric) {
  const Metric judged = criterion_named("").of(Report(), 0.3);
  EXPECT_EQ(judged.value, 0.3);
  EXPECT_FALSE(judged.greater_is_better);
}

}  // namespace
}  // namespace hone
