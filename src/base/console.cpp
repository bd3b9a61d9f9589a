#include "base/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "base/utf8.h"

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

bool is_control(char32_t c) {
  return (c < 0x20 && c != '\t') || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

std::string escaped(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  return c < 0x80 ? fmt::format("\\x{:02x}", static_cast<uint32_t>(c))
                  : fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
}

void put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace

bool is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

int columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string shell_quoted(const std::string& word) {
  constexpr const char* kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=:,@%+";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_code_point(text, at);
    const std::string_view bytes = text.substr(start, at - start);
    if (c == 0xFFFD && bytes.size() == 1) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
    } else {
      out += is_control(c) ? escaped(c) : std::string(bytes);
    }
  }
  return out;
}

void print_line(std::string_view line) {
  State& console = state();
  const std::lock_guard lock(console.mutex);
  if (!console.bar.empty()) put(kClear);
  put(printable(line) + "\n");
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
