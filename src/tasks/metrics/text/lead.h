// The sentences of a text, and the first of them: the summary that needs no model.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hone::metrics {

// Up to the end of the sentence that is so many-th, or all. A line ends a sentence; within lines
// they end where Unicode's rules say (UAX 29).
std::string_view lead(std::string_view text, int64_t sentences);

// All of them that have a word, with the white space behind them.
std::vector<std::string_view> sentences_of(std::string_view text);

}  // namespace hone::metrics
