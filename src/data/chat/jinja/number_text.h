// Numbers in texts and rounding, as Python's int(), float() and round() have them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/chat/jinja/value.h"

namespace hone::jinja {

// int(text, base), else int(float(text)); nothing where neither is possible.
std::optional<int64_t> whole_in(const std::string& text, int64_t base);
std::optional<int64_t> whole_of(const Value& value);  // int() of what is no text
std::optional<double> number_in(const std::string& text);

// `method`: common (round(), to even at the half), ceil, floor. A Fault for another one.
Value rounded(const Value& number, int64_t precision, const std::string& method);

int64_t count_words(const std::string& text);  // matches of \w+

}  // namespace hone::jinja
