// Text whose bytes know where they came from. Whatever a template does to a text (joins, cuts,
// trims, replaces), each byte keeps its mark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone::jinja {

// Bits of a mark; 0: the template wrote it.
constexpr char kFromData = 1;  // out of the messages, tools or documents
constexpr char kAnswer = 2;    // within {% generation %}

struct Text {
  std::string bytes;  // UTF-8
  std::string marks;  // one for each byte

  Text() = default;
  Text(std::string_view text, char mark = 0) : bytes(text), marks(text.size(), mark) {}

  size_t size() const { return bytes.size(); }
  bool empty() const { return bytes.empty(); }
  char mark_at(size_t at) const { return at < marks.size() ? marks[at] : '\0'; }

  void append(const Text& other) {
    bytes += other.bytes;
    marks += other.marks;
  }
  void append(std::string_view text, char mark) {
    bytes += text;
    marks.append(text.size(), mark);
  }
  Text part(size_t begin, size_t end) const;  // bytes [begin, end)
};

// Where each character begins, and at last where the text ends: characters count as in Python.
std::vector<size_t> character_starts(std::string_view text);

bool is_python_space(char32_t c);  // str.isspace
bool is_printable(char32_t c);     // str.isprintable

// What is left without characters at the ends that `is_dropped` names.
Text strip(const Text& text, bool left, bool right, bool (*is_dropped)(char32_t));
Text strip(const Text& text, bool left, bool right, std::string_view characters);

Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);
Text title(const Text& text);          // str.title
Text title_filter(const Text& text);   // Jinja2's own, by blanks and opening brackets
bool is_upper_case(const Text& text);  // str.isupper: some letter with a case, and none other
bool is_lower_case(const Text& text);

// Python's repr of a text, in quotes.
Text quoted(const Text& text);

// Lines as str.splitlines sees them, without their ends unless `keeps_ends`.
std::vector<Text> split_lines(const Text& text, bool keeps_ends = false);

}  // namespace hone::jinja
