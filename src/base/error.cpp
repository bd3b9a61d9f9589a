#include "base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace hone {

std::string Where::str() const {
  if (line <= 0) return file;
  if (column <= 0) return fmt::format("{}:{}", file, line);
  return fmt::format("{}:{}:{}", file, line, column);
}

size_t line_end_length(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(std::min(at, text.size()), 3);
  if (rest.starts_with('\n')) return 1;
  if (!rest.starts_with('\r')) return 0;
  return rest == "\r\r\n" ? 3 : rest.starts_with("\r\n") ? 2 : 1;
}

Where advance(Where start, std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const bool has_returns = before.find('\r') != before.npos;
  size_t line = 0;  // where the line begins
  for (;;) {
    size_t end = has_returns ? before.find_first_of("\r\n", line) : before.find('\n', line);
    if (end == before.npos || (end += line_end_length(text, end)) > offset) break;
    line = end;
    ++start.line;
    start.column = 1;
  }
  start.column += static_cast<int64_t>(offset - line);
  return start;
}

namespace {

std::string with_place(const Where& where, const std::string& message) {
  const std::string place = where.str();
  return place.empty() ? message : place + ": " + message;
}

// A name in a message may be as long as a file. What is wrong stands at the beginning, what to do
// at the end.
std::string without_middle(const std::string& message) {
  constexpr size_t kLongest = 4096, kHead = 2800, kTail = 1200;
  if (message.size() <= kLongest) return message;
  const auto border = [&](size_t at) {  // of a character of UTF-8
    while (at > 0 && (static_cast<unsigned char>(message[at]) & 0xC0) == 0x80) --at;
    return at;
  };
  return message.substr(0, border(kHead)) + " … " + message.substr(border(message.size() - kTail));
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost 1;
// upper case equals lower case.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool is_same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (is_same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

Error::Error(ErrorKind kind, Where where, const std::string& message)
    : std::runtime_error(with_place(where, without_middle(message))),
      kind_(kind),
      where_(std::move(where)),
      message_(without_middle(message)) {}

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  constexpr size_t kLongest =
      200;  // a name longer than this is no misspelling, and the distance costs its square
  if (name.empty() || name.size() > kLongest) return "";
  const size_t limit = name.size() <= 3 ? 1 : std::max<size_t>(2, name.size() / 3);
  size_t best = limit + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const std::string found = nearest(name, candidates);
  return found.empty() ? "" : fmt::format("; did you mean \"{}\"?", found);
}

}  // namespace hone
