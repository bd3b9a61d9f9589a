#include "tune/machine.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

TEST(Machine, ChoosesBf16OnlyWhereTheCpuHasIt) {
  const Precision chosen = resolve_precision("auto");
  if (!has_bf16_arithmetic()) EXPECT_EQ(chosen, Precision::kFp32);
  EXPECT_EQ(resolve_precision("auto"), chosen);  // a run asks more than once
  EXPECT_EQ(resolve_precision("fp32"), Precision::kFp32);
  EXPECT_EQ(resolve_precision("bf16"), Precision::kBf16);
}

TEST(Machine, UsesTheThreadsAskedFor) {
  const int before = at::get_num_threads();
  EXPECT_EQ(use_threads(1), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
  EXPECT_EQ(use_threads(0), available_cores());
  at::set_num_threads(before);
}

}  // namespace
}  // namespace hone
