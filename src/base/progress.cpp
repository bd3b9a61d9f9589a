#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/console.h"
#include "base/utf8.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> is_quiet{false};

constexpr double kBarSeconds = 0.1;  // between two drawings on a terminal
constexpr double kLineSeconds = 10;  // between two lines in a log

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string clock_time(double seconds) {
  const int64_t total = static_cast<int64_t>(seconds + 0.5);
  if (total >= 3600)
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string rate_text(double rate) {
  if (rate >= 1e6) return fmt::format("{:.1f}M", rate / 1e6);
  if (rate >= 1e4) return fmt::format("{:.1f}k", rate / 1e3);
  if (rate >= 100) return fmt::format("{:.0f}", rate);
  return fmt::format("{:.2f}", rate);
}

// "450/1000 steps, 12.30 steps/s, 0:45 left, loss 0.412"
std::string numbers(int64_t done, int64_t total, const std::string& unit, const std::string& note,
                    double elapsed) {
  std::string text =
      total > 0 ? fmt::format("{}/{} {}", done, total, unit) : fmt::format("{} {}", done, unit);
  if (done > 0 && elapsed > 0) {
    const double rate = static_cast<double>(done) / elapsed;
    text += fmt::format(", {} {}/s", rate_text(rate), unit);
    if (total > done)
      text += fmt::format(", {} left", clock_time(static_cast<double>(total - done) / rate));
    if (total == done) text += fmt::format(", {}", clock_time(elapsed));
  }
  if (!note.empty()) text += ", " + note;
  return text;
}

std::string bar_text(const std::string& title, double share, const std::string& numbers) {
  constexpr int kWidth = 24;
  const int filled = std::clamp(static_cast<int>(share * kWidth), 0, kWidth);
  return fmt::format("{} [{}{}] {:3.0f}% {}", title, std::string(filled, '#'),
                     std::string(kWidth - filled, '.'), share * 100, numbers);
}

// A bar wider than the window would wrap, and the next drawing would leave its first row behind.
std::string cut(const std::string& text, int columns) {
  std::u32string points = from_utf8(text);
  if (static_cast<int>(points.size()) < columns) return text;
  points.resize(static_cast<size_t>(std::max(columns - 1, 1)));
  return to_utf8(points);
}

}  // namespace

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      shown_(start_),
      terminal_(console::is_terminal()) {}

Progress::~Progress() {
  if (is_quiet) return;
  const double elapsed = seconds_since(start_);
  if (terminal_) console::show_bar("");
  if (elapsed >= 1)
    console::print_line(title_ + ": " +
                        numbers(done_, total_, unit_, note_, elapsed));  // short work needs no line
}

void Progress::advance_to(int64_t done, const std::string& note) {
  done_ = done;
  if (!note.empty()) note_ = note;
  if (is_quiet || seconds_since(shown_) < (terminal_ ? kBarSeconds : kLineSeconds)) return;
  shown_ = Clock::now();
  const std::string text = numbers(done_, total_, unit_, note_, seconds_since(start_));
  if (!terminal_) return console::print_line(title_ + ": " + text);
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0;
  console::show_bar(
      cut(total_ > 0 ? bar_text(title_, std::min(share, 1.0), text) : title_ + ": " + text,
          console::columns()));
}

void Progress::set_quiet(bool quiet) { is_quiet = quiet; }

}  // namespace hone
