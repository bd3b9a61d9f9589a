// Scores choices by accuracy, with its interval, calibration and the surest mistakes.
#pragma once

#include <memory>

#include "tasks/choice/options.h"
#include "tasks/task.h"

namespace hone::choice {

// In results, beside the answer: how likely each choice is, in their order.
constexpr const char* kScores = "scores";

std::unique_ptr<Scorer> make_scorer(const Options& options);

}  // namespace hone::choice
