// The one place that writes to stderr, shared by log and progress so that a message never lands
// inside a bar.
#pragma once

#include <string>
#include <string_view>

namespace hone::console {

bool is_terminal();  // is stderr one?
int columns();       // its width, 80 where unknown

// `text` as it may stand within a line for people: control characters (line breaks and those that
// turn the direction of writing among them) and bytes that are no UTF-8 as \n, \x1b, \u202e.
// Labels, names and texts come from files of anybody, and a terminal obeys what it is sent.
std::string printable(std::string_view text);

// A word as a shell reads it back.
std::string shell_quoted(const std::string& word);

// Writes one whole line, made printable; a bar that is shown is taken away first and drawn again
// below.
void print_line(std::string_view line);

// Draws `bar` (without a line break) over the last one. An empty bar takes the last one away.
void show_bar(std::string_view bar);

}  // namespace hone::console
