// Messages for people, on stderr; stdout stays free for results. Thread-safe. The level comes from
// HONE_LOG (debug, info, warn, error).
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace hone {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Breaks a progress bar cleanly where one is shown.
void log_line(LogLevel level, std::string_view message);

// As kInfo, of what happens in a run: printed however often it is said (see RunsLog).
void log_event_line(std::string_view message);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_event(fmt::format_string<Args...> format, Args&&... args) {
  log_event_line(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}

// For several runs one after the other, which have much in common: while it lives, a line (info or
// warning) that an earlier run said already, word for word, is not printed again, and at its end
// each such line is told with the number of runs that said it. One at a time.
class RunsLog {
 public:
  RunsLog(std::string what, size_t runs);  // "trials", and how many there are
  ~RunsLog();
  RunsLog(const RunsLog&) = delete;
  RunsLog& operator=(const RunsLog&) = delete;

  // What is said from now on is of this run, which may have been interrupted before.
  void begin(size_t run);

 private:
  std::string what_;
  size_t runs_;
};

}  // namespace hone
