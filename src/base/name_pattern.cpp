#include "base/name_pattern.h"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/error.h"

namespace hone {
namespace {

constexpr size_t kLongest = 1000;
constexpr int kMostCounts = 2, kHighestCount = 99;  // {n,m}: their products are states

Error refused(const std::string& expression, const std::string& why) {
  return Error(ErrorKind::kUsage,
               fmt::format("\"{}\" is no pattern of names: {}", expression, why));
}

// The highest number in the braces at `at`; what is no number counts as none.
int highest_count(const std::string& text, size_t at) {
  int highest = 0, number = 0;
  for (; at < text.size() && text[at] != '}'; ++at) {
    number = std::isdigit(static_cast<unsigned char>(text[at])) && number <= kHighestCount
                 ? 10 * number + (text[at] - '0')
                 : 0;
    highest = std::max(highest, number);
  }
  return highest;
}

void refuse_large(const std::string& expression) {
  if (expression.size() > kLongest)
    throw refused(expression.substr(0, 60) + "…",
                  fmt::format("it has {} characters; at most {}", expression.size(), kLongest));
  int counts = 0;
  for (size_t at = 0; at < expression.size(); ++at) {
    if (expression[at] == '\\') {
      ++at;
      continue;
    }
    if (expression[at] != '{') continue;
    if (++counts > kMostCounts || highest_count(expression, at) > kHighestCount)
      throw refused(expression, fmt::format("at most {} repetitions {{n,m}}, to at most {}",
                                            kMostCounts, kHighestCount));
  }
}

// What a backslash and `letter` stand for, in POSIX's words.
std::string escaped(const std::string& expression, char letter, bool in_class) {
  const auto in = [&](const char* members) {
    return in_class ? std::string(members) : fmt::format("[{}]", members);
  };
  if (letter == 'd') return in("0-9");
  if (letter == 'w') return in("A-Za-z0-9_");
  if (letter == 's') return in(" \t");
  const bool is_special = in_class && std::string_view("]^-").find(letter) != std::string::npos;
  if (std::isalnum(static_cast<unsigned char>(letter)) || is_special)
    throw refused(expression, fmt::format("\"\\{}\" is not supported{}", letter,
                                          in_class ? " between brackets" : ""));
  return in_class ? std::string(1, letter) : fmt::format("\\{}", letter);
}

// Python's way of writing as POSIX's. That a quantifier is lazy (*?) changes what a match is, not
// whether there is one.
std::string as_posix(const std::string& expression) {
  std::string out;
  bool in_class = false, after_quantifier = false;
  for (size_t at = 0; at < expression.size(); ++at) {
    const std::string_view rest = std::string_view(expression).substr(at);
    const bool is_lazy = after_quantifier && rest[0] == '?';
    after_quantifier =
        !in_class && !is_lazy && std::string_view("*+?}").find(rest[0]) != std::string::npos;
    if (is_lazy) continue;
    if (rest[0] == '\\' && rest.size() > 1) {
      out += escaped(expression, rest[1], in_class);
      ++at;
    } else if (!in_class && rest.starts_with("(?:")) {
      out += '(';
      at += 2;
    } else if (!in_class && rest.starts_with("(?")) {
      throw refused(expression, "\"(?\" groups other than \"(?:\" are not supported");
    } else {
      in_class = rest[0] == '[' || (in_class && rest[0] != ']');
      out += rest[0];
    }
  }
  return out;
}

}  // namespace

struct NamePattern::Compiled {
  explicit Compiled(const std::string& expression) {
    refuse_large(expression);
    const std::string posix = "^(" + as_posix(expression) + ")$";
    const int failed = ::regcomp(&regex, posix.c_str(), REG_EXTENDED | REG_NOSUB);
    if (failed == 0) return;
    char message[200];
    ::regerror(failed, &regex, message, sizeof message);
    throw refused(expression, message);
  }
  ~Compiled() { ::regfree(&regex); }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  regex_t regex{};
};

NamePattern::NamePattern(const std::string& expression)
    : compiled_(std::make_shared<const Compiled>(expression)) {}

bool NamePattern::matches(const std::string& name) const {
  return ::regexec(&compiled_->regex, name.c_str(), 0, nullptr, 0) == 0;
}

}  // namespace hone
