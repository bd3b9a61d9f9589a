#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "base/progress.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Runs `action` in a child whose stderr is a terminal of 60 columns, and gives what it wrote there.
template <typename Action>
std::string on_terminal(Action action) {
  int terminal = -1;
  winsize size{24, 60, 0, 0};
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    action();
    std::_Exit(0);
  }
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(terminal, buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(got));
  close(terminal);
  waitpid(child, nullptr, 0);
  return out;
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(120)); }

TEST(Log, WritesWhatTheLevelAllows) {
  testing::internal::CaptureStderr();
  log_debug("hidden {}", 1);
  log_info("shown {}", 2);
  log_warn("odd {}", 3);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "shown 2\nwarning: odd 3\n");
  setenv("HONE_LOG", "error", 1);
  testing::internal::CaptureStderr();
  log_warn("odd");
  log_line(LogLevel::kError, "bad");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: bad\n");
  setenv("HONE_LOG", "debug", 1);
  testing::internal::CaptureStderr();
  log_debug("seen");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "debug: seen\n");
  unsetenv("HONE_LOG");
}

TEST(Log, EscapesWhatATerminalWouldObey) {
  testing::internal::CaptureStderr();
  log_info("label \"{}\", file {}", "a\x1b[31m\nerror: b\r\x7f\xC2\x9B\xE2\x80\xAE", "caf\xE9");
  log_info("é 中\tأ");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "label \"a\\x1b[31m\\nerror: b\\r\\x7f\\u009b\\u202e\", file caf\\xe9\né 中\tأ\n");
}

TEST(Progress, DrawsNoBarInALog) {
  testing::internal::CaptureStderr();
  {
    Progress progress("train", 10, "steps");
    for (int i = 1; i <= 10; ++i) progress.advance_to(i);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "short work needs no line";
}

TEST(Progress, DrawsABarOnATerminalThatFitsItsWidth) {
  const std::string out = on_terminal([] {
    Progress progress("train", 100, "steps");
    pause();
    progress.advance_to(50, "loss 0.412 and a very long note that cannot fit");
    log_info("a message");
    pause();
    progress.advance_to(60);
  });
  EXPECT_THAT(out, HasSubstr("train [############............]  50% 50/100"));
  EXPECT_THAT(out, HasSubstr("\r\x1b[Ka message\r\ntrain [####"))
      << "a message takes the bar away and puts it back below";
  EXPECT_THAT(out, Not(HasSubstr("cannot fit")));
  EXPECT_TRUE(out.ends_with("\r\x1b[K")) << "the bar is taken away at the end";
}

TEST(Progress, CountsWithoutATotal) {
  const std::string out = on_terminal([] {
    Progress progress("read", 0, "rows");
    pause();
    progress.advance_to(42);
  });
  EXPECT_THAT(out, HasSubstr("read: 42 rows, "));
  EXPECT_THAT(out, HasSubstr(" rows/s"));
  EXPECT_THAT(out, Not(HasSubstr("left")));
}

TEST(Progress, SaysNothingWhenQuiet) {
  const std::string out = on_terminal([] {
    Progress::set_quiet(true);
    Progress progress("read", 10, "rows");
    pause();
    progress.advance_to(5);
  });
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace hone
