#include "tune/timeline.h"

#include <gtest/gtest.h>

#include <set>

namespace hone {
namespace {

std::vector<int32_t> lengths_of(int64_t n) {
  std::vector<int32_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(static_cast<int32_t>(3 + (i * 7) % 20));
  return lengths;
}

TEST(Timeline, CountsWholeEpochs) {
  const auto lengths = lengths_of(10);
  const Timeline timeline(lengths, {.batch_size = 4}, 3, -1);  // 3 steps in an epoch
  EXPECT_EQ(timeline.steps(), 9);
  EXPECT_DOUBLE_EQ(timeline.epochs(), 3);
  EXPECT_DOUBLE_EQ(timeline.epoch_after(3), 1);
  EXPECT_DOUBLE_EQ(timeline.epoch_after(4), 1 + 1.0 / 3);
  EXPECT_TRUE(timeline.ends_epoch(3));
  EXPECT_FALSE(timeline.ends_epoch(4));
  EXPECT_TRUE(timeline.ends_epoch(9));
}

TEST(Timeline, RoundsAFractionOfAnEpochUp) {
  const auto lengths = lengths_of(10);
  EXPECT_EQ(Timeline(lengths, {.batch_size = 4}, 1.5, -1).steps(), 5);  // 3 + ceil(1.5)
  EXPECT_EQ(Timeline(lengths, {.batch_size = 4}, 0.1, -1).steps(), 1);
  const Timeline half(lengths, {.batch_size = 4}, 1.5, -1);
  EXPECT_TRUE(half.ends_epoch(5));  // the end of all
}

TEST(Timeline, MaxStepsWinsOverEpochs) {
  const auto lengths = lengths_of(10);
  EXPECT_EQ(Timeline(lengths, {.batch_size = 4}, 3, 7).steps(), 7);
  EXPECT_EQ(Timeline(lengths, {.batch_size = 4}, 1, 700).steps(), 700);
}

// A number of steps costs no memory and no time before they are made.
TEST(Timeline, TakesAnyNumberOfSteps) {
  const auto lengths = lengths_of(10);
  for (const int64_t max_tokens : {int64_t{0}, int64_t{40}}) {
    Timeline timeline(lengths, {.batch_size = 4, .max_tokens = max_tokens}, 3, 10'000'000'000);
    EXPECT_EQ(timeline.steps(), 10'000'000'000);
    EXPECT_GT(timeline.epochs(), 1e9);
    EXPECT_EQ(timeline.micro_batches(0).size(), 1U);
    EXPECT_FALSE(timeline.ends_epoch(1));
  }
  EXPECT_EQ(Timeline(lengths, {.batch_size = 4}, 1e8, -1).steps(), 300'000'000);
}

TEST(Timeline, CoversEverySampleOnceInEachEpoch) {
  const auto lengths = lengths_of(23);
  for (const int64_t max_tokens : {int64_t{0}, int64_t{40}}) {
    Timeline timeline(lengths, {.batch_size = 4, .max_tokens = max_tokens, .accumulation = 2}, 2,
                      -1);
    std::multiset<int64_t> seen;
    for (int64_t step = 0; step < timeline.steps(); ++step) {
      for (const auto& micro : timeline.micro_batches(step))
        seen.insert(micro.begin(), micro.end());
      if (timeline.ends_epoch(step + 1) && step + 1 < timeline.steps()) {
        EXPECT_EQ(seen.size(), 23U);
      }
    }
    EXPECT_EQ(seen.size(), 46U);
    for (int64_t i = 0; i < 23; ++i) EXPECT_EQ(seen.count(i), 2U) << i;
  }
}

TEST(Timeline, AStepAskedForAloneEqualsTheSameStepInOrder) {
  const auto lengths = lengths_of(23);
  Timeline in_order(lengths, {.batch_size = 4}, 3, -1);
  for (int64_t step = 0; step < in_order.steps(); ++step) {
    Timeline alone(lengths, {.batch_size = 4}, 3, -1);
    EXPECT_EQ(in_order.micro_batches(step), alone.micro_batches(step)) << step;
  }
}

}  // namespace
}  // namespace hone
