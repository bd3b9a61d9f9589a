#include "tune/machine.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

TEST(Machine, ChoosesBf16OnlyWhereTheCpuHasIt) {
  EXPECT_EQ(resolve_precision("auto"), has_bf16_arithmetic() ? Precision::kBf16 : Precision::kFp32);
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
