// What several runs say, one after the other.
#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hone {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// What `action` writes to stderr.
template <typename Action>
std::string said_by(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

int64_t times(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RunsLog, PrintsALineOfSeveralRunsOnceAndTellsHowManySaidIt) {
  const std::string out = said_by([] {
    RunsLog log("trials", 4);
    for (size_t run = 0; run < 4; ++run) {
      log.begin(run);
      if (run != 1) log_warn("no pooler");
      log_info("run {}", run);
    }
  });
  EXPECT_EQ(times(out, "no pooler"), 2);
  EXPECT_THAT(out, EndsWith("warning: 3 of 4 trials said: no pooler\n"));
  EXPECT_EQ(times(out, "run "), 4);  // lines that differ are no repetition
}

TEST(RunsLog, ARunThatGoesOnCountsOnce) {
  const std::string out = said_by([] {
    RunsLog log("trials", 2);
    for (const size_t run : {0, 1, 0}) {
      log.begin(run);
      log_warn("no pooler");
    }
  });
  EXPECT_THAT(out, HasSubstr("2 of 2 trials said: no pooler"));
  EXPECT_EQ(times(out, "no pooler"), 2);
}

TEST(RunsLog, LeavesWhatOneRunRepeatsAndWhatHappensInEach) {
  const std::string out = said_by([] {
    RunsLog log("runs", 2);
    log.begin(0);
    log_warn("trying again");
    log_warn("trying again");
    for (size_t run = 0; run < 2; ++run) {
      log.begin(run);
      log_event("step 4: accuracy 0.5");
      log_line(LogLevel::kError, "out of memory");
    }
  });
  EXPECT_EQ(times(out, "trying again"), 2);
  EXPECT_EQ(times(out, "step 4"), 2);
  EXPECT_EQ(times(out, "out of memory"), 2);
  EXPECT_EQ(times(out, "said:"), 0);
}

TEST(RunsLog, HasNoSayBeforeAndAfterItsRuns) {
  const std::string out = said_by([] {
    {
      RunsLog log("runs", 1);
      log_info("a line");
      log.begin(0);
      log_info("a line");
    }
    log_info("a line");
  });
  EXPECT_EQ(out, "a line\na line\na line\n");
}

}  // namespace
}  // namespace hone
