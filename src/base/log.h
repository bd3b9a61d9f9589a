// Messages for people, on stderr; stdout stays free for results. Thread-safe. The level comes from
// HONE_LOG (debug, info, warn, error).
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace hone {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void log_line(LogLevel level,
              std::string_view message);  // breaks a progress bar cleanly where one is shown

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hone
