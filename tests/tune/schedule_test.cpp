#include "tune/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace hone {
namespace {

// Values of transformers.get_scheduler(type, warmup 10, total 100, …) at steps 0, 5, 10, 11, 55,
// 99, 100, divided by the base rate 1e-3. All steps and types are compared in
// tests/parity/test_training.py.
TEST(Schedule, GivesTransformersValues) {
  const auto at = [](const char* type, int64_t step) {
    ScheduleOptions o;
    o.type = type;
    o.warmup_steps = 10;
    o.total_steps = 100;
    o.power = 2;
    o.end_factor = 1e-4;
    return make_schedule(o)(step);
  };
  EXPECT_DOUBLE_EQ(at("linear", 5), 0.5);
  EXPECT_DOUBLE_EQ(at("linear", 10), 1.0);
  EXPECT_DOUBLE_EQ(at("linear", 55), 0.5);
  EXPECT_DOUBLE_EQ(at("linear", 100), 0.0);
  EXPECT_NEAR(at("cosine", 55), 0.5, 1e-12);
  EXPECT_NEAR(at("cosine", 100), 0.0, 1e-12);
  EXPECT_DOUBLE_EQ(at("constant_with_warmup", 5), 0.5);
  EXPECT_DOUBLE_EQ(at("constant_with_warmup", 99), 1.0);
  EXPECT_DOUBLE_EQ(at("constant", 0), 1.0);
  EXPECT_NEAR(at("polynomial", 55), 0.25 * (1 - 1e-4) + 1e-4, 1e-12);
  EXPECT_NEAR(at("polynomial", 100), 1e-4, 1e-12);
}

TEST(Schedule, RestartsAsOftenAsAsked) {
  ScheduleOptions o;
  o.type = "cosine_with_restarts";
  o.total_steps = 90;
  o.restarts = 3;
  const auto factor = make_schedule(o);
  for (const int64_t start : {0, 30, 60}) {
    EXPECT_NEAR(factor(start), 1, 1e-9);
    EXPECT_NEAR(factor(start + 15), 0.5, 1e-9);
    EXPECT_LT(factor(start + 29), 0.01);
  }
  EXPECT_EQ(factor(90), 0);
}

// Values of torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=100).
TEST(Schedule, OneCycleIsPyTorchs) {
  ScheduleOptions o;
  o.type = "one_cycle";
  o.total_steps = 100;
  const auto factor = make_schedule(o);
  const std::pair<int64_t, double> expected[] = {{0, 0.04},
                                                 {10, 0.29516394846410077},
                                                 {29, 1},
                                                 {30, 0.9994965352845243},
                                                 {50, 0.793893450575732},
                                                 {64, 0.500002},
                                                 {99, 4e-6}};
  for (const auto& [step, value] : expected) EXPECT_NEAR(factor(step), value, 1e-12) << step;
  o.total_steps = 1;
  EXPECT_LE(make_schedule(o)(0), 1);
}

TEST(Schedule, IsZeroBeforeTheFirstWarmupStepAndNeverNegative) {
  ScheduleOptions o;
  o.warmup_steps = 4;
  o.total_steps = 8;
  EXPECT_EQ(make_schedule(o)(0), 0.0);
  EXPECT_EQ(make_schedule(o)(20), 0.0);
}

TEST(Schedule, OfWarmupAloneEndsAtZero) {
  ScheduleOptions o;
  o.warmup_steps = o.total_steps = 8;
  EXPECT_DOUBLE_EQ(make_schedule(o)(7), 7.0 / 8);
  EXPECT_EQ(make_schedule(o)(8), 0.0);
}

TEST(Schedule, NamesTheKnownTypes) {
  ScheduleOptions o;
  o.type = "linaer";
  try {
    make_schedule(o);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(error.message().find("polynomial"), std::string::npos);
  }
}

}  // namespace
}  // namespace hone
