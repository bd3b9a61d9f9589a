#include "base/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

namespace hone::console {
namespace {

constexpr std::string_view kClear = "\r\x1b[K";

struct State {
  std::mutex mutex;
  std::string bar;
};

State& state() {  // never destroyed: a message may come from another object's destructor at exit
  static State* const instance = new State;
  return *instance;
}

void put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace

bool is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

int columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void print_line(std::string_view line) {
  State& console = state();
  const std::lock_guard lock(console.mutex);
  if (!console.bar.empty()) put(kClear);
  std::string whole(line);
  whole += '\n';
  put(whole);
  put(console.bar);
  std::fflush(stderr);
}

void show_bar(std::string_view bar) {
  State& console = state();
  const std::lock_guard lock(console.mutex);
  if (!console.bar.empty() || !bar.empty()) put(kClear);
  put(bar);
  std::fflush(stderr);
  console.bar = bar;
}

}  // namespace hone::console
