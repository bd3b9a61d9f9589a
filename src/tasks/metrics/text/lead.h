// The first sentences of a text: the summary that needs no model.
#pragma once

#include <cstdint>
#include <string_view>

namespace hone::metrics {

// Up to the end of the sentence that is so many-th, or all. A line ends a sentence; within lines
// they end where Unicode's rules say (UAX 29).
std::string_view lead(std::string_view text, int64_t sentences);

}  // namespace hone::metrics
