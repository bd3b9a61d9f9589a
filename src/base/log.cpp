#include "base/log.h"

#include <cstdlib>

#include "base/console.h"

namespace hone {
namespace {

LogLevel level_of(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

std::string_view prefix(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug: ";
    case LogLevel::kInfo:
      return "";
    case LogLevel::kWarn:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
  }
  return "";
}

}  // namespace

void log_line(LogLevel level, std::string_view message) {
  const char* wanted = std::getenv("HONE_LOG");
  if (level < level_of(wanted == nullptr ? "" : wanted)) return;
  console::print_line(std::string(prefix(level)).append(message));
}

}  // namespace hone
