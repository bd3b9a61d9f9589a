#include "tune/step_statistics.h"

#include <gtest/gtest.h>

namespace hone {
namespace {

TEST(StepStatistics, MeansOverTheWindow) {
  StepStatistics s;
  s.add(1, 1);
  s.add(2, 1);
  EXPECT_DOUBLE_EQ(s.mean_loss(), 1.5);
  s.begin_window();
  s.add(5, 1);
  EXPECT_DOUBLE_EQ(s.mean_loss(), 5);
}

TEST(StepStatistics, ScoresAStepAgainstTheOnesBeforeIt) {
  StepStatistics s;
  for (int i = 0; i < 20; ++i) s.add(i % 2 == 0 ? 1 : 3, 1);  // mean 2, deviation 1
  s.add(7, 1);
  EXPECT_DOUBLE_EQ(s.loss_z(), 5);
  EXPECT_DOUBLE_EQ(s.norm_z(), 0);  // nothing varied
}

TEST(StepStatistics, GoesOnFromItsState) {
  StepStatistics whole, first, second;
  for (int i = 0; i < 200; ++i) {
    whole.add(0.1 * i, 1.0 / (i + 1));
    if (i < 150) first.add(0.1 * i, 1.0 / (i + 1));
  }
  second.load_state(Json::parse(first.state().dump()));
  for (int i = 150; i < 200; ++i) second.add(0.1 * i, 1.0 / (i + 1));
  EXPECT_EQ(second.state(), whole.state());
  EXPECT_EQ(second.loss_z(), whole.loss_z());
  EXPECT_EQ(second.mean_loss(), whole.mean_loss());
}

}  // namespace
}  // namespace hone
