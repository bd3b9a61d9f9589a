// What a person sees of a run, on stderr: a bar with loss, rate and time left, and a line per
// evaluation.
#pragma once

#include "tune/events.h"

namespace hone {

Listener console_log();

std::string rate_text(double tokens_per_second);  // "950 tokens/s", "12.3k tokens/s"

}  // namespace hone
