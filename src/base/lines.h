// The lines of a text, which end as those of data files do (line_end_length in base/error.h).
#pragma once

#include <cstddef>
#include <string_view>

namespace hone {

// The line that begins at text[at], without its end; `at` moves behind the end. REQUIRES: at <
// text.size().
std::string_view take_line(std::string_view text, size_t& at);

}  // namespace hone
