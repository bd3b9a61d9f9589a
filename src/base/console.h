// The one place that writes to stderr, shared by log and progress so that a message never lands
// inside a bar.
#pragma once

#include <string>
#include <string_view>

namespace hone::console {

bool is_terminal();  // is stderr one?
int columns();       // its width, 80 where unknown

// Writes a whole line; a bar that is shown is taken away first and drawn again below.
void print_line(std::string_view line);

// Draws `bar` (without a line break) over the last one. An empty bar takes the last one away.
void show_bar(std::string_view bar);

}  // namespace hone::console
