#include "base/log.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>
#include <vector>

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

void print(LogLevel level, std::string_view message) {
  const char* wanted = std::getenv("HONE_LOG");
  if (level < level_of(wanted == nullptr ? "" : wanted)) return;
  console::print_line(std::string(prefix(level)).append(message));
}

struct SaidLine {
  LogLevel level;
  std::string text;
  size_t turn;            // in which it was said first
  std::set<size_t> runs;  // that said it
  bool is_folded = false;
};

// What the runs of a RunsLog have said.
struct SaidLines {
  std::mutex mutex;
  size_t turn = 0;  // counted by RunsLog::begin; 0: there is no run
  size_t run = 0;
  std::vector<SaidLine> lines;
};

SaidLines& said() {  // never destroyed: see console.cpp
  static SaidLines* const instance = new SaidLines;
  return *instance;
}

// Notes that the present run says it; whether an earlier one did.
bool is_said_before(LogLevel level, std::string_view message) {
  SaidLines& all = said();
  const std::lock_guard lock(all.mutex);
  if (all.turn == 0) return false;
  const auto known = std::find_if(all.lines.begin(), all.lines.end(),
                                  [&](const SaidLine& line) { return line.text == message; });
  if (known == all.lines.end()) {
    all.lines.push_back({level, std::string(message), all.turn, {all.run}});
    return false;
  }
  known->runs.insert(all.run);
  if (known->turn == all.turn) return false;
  return known->is_folded = true;
}

}  // namespace

void log_line(LogLevel level, std::string_view message) {
  const bool is_of_its_own = level == LogLevel::kDebug || level == LogLevel::kError;
  if (is_of_its_own || !is_said_before(level, message)) print(level, message);
}

void log_event_line(std::string_view message) { print(LogLevel::kInfo, message); }

RunsLog::RunsLog(std::string what, size_t runs) : what_(std::move(what)), runs_(runs) {}

void RunsLog::begin(size_t run) {
  SaidLines& all = said();
  const std::lock_guard lock(all.mutex);
  ++all.turn;
  all.run = run;
}

RunsLog::~RunsLog() {
  SaidLines& all = said();
  const std::lock_guard lock(all.mutex);
  for (const SaidLine& line : all.lines) {
    if (line.is_folded)
      print(line.level,
            fmt::format("{} of {} {} said: {}", line.runs.size(), runs_, what_, line.text));
  }
  all.lines.clear();
  all.turn = 0;
}

}  // namespace hone
