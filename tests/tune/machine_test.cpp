#include "tune/machine.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <mutex>
#include <set>
#include <thread>

#include "base/error.h"

namespace hone {
namespace {

TEST(Machine, ChoosesBf16OnlyWhereTheCpuHasIt) {
  const Precision chosen = resolve_precision("auto");
  if (!has_bf16_arithmetic()) {
    EXPECT_EQ(chosen, Precision::kFp32);
  }
  EXPECT_EQ(resolve_precision("auto"), chosen);  // a run asks more than once
  EXPECT_EQ(resolve_precision("fp32"), Precision::kFp32);
  EXPECT_EQ(resolve_precision("bf16"), Precision::kBf16);
}

TEST(Machine, CountsOnlyCoresThatThisProcessMayUse) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core) {
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_cores(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

TEST(Machine, UsesTheThreadsAskedFor) {
  const int before = at::get_num_threads();
  EXPECT_EQ(use_threads(1), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
  EXPECT_EQ(use_threads(0), available_cores());
  at::set_num_threads(before);
}

TEST(Machine, RefusesThreadsThatNoMachineCanStart) {
  const int before = at::get_num_threads();
  for (const int64_t threads : {5000, 100000}) {
    try {
      use_threads(threads);
      ADD_FAILURE() << threads << " threads were taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find(std::to_string(threads)), std::string::npos);
    }
  }
  EXPECT_EQ(at::get_num_threads(), before);
}

TEST(Machine, ParallelLoopsRunOnAllThreadsAskedFor) {
  const int before = at::get_num_threads();
  for (const int64_t threads : {1, 2, 3}) {
    use_threads(threads);
    std::mutex mutex;
    std::set<std::thread::id> seen;
    at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
      const std::scoped_lock lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    EXPECT_EQ(static_cast<int64_t>(seen.size()), threads);
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace hone
