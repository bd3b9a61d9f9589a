// Scores answers by exact match and F1, with intervals, calibration and the surest mistakes.
#pragma once

#include <memory>

#include "tasks/qa/options.h"
#include "tasks/task.h"

namespace hone::qa {

// In results, beside the answers.
constexpr const char* kScore = "score";              // how likely the answer is
constexpr const char* kMargin = "no_answer_margin";  // how much likelier no answer is than the best
constexpr const char* kCandidates = "candidates";    // [{"text", "answer_start", "score"}]

// In reports.
constexpr const char* kF1 = "f1";
constexpr const char* kBestF1 = "best_f1";  // what the best threshold gives
constexpr const char* kBestThreshold = "best_threshold";

std::unique_ptr<Scorer> make_scorer(const Options& options);

}  // namespace hone::qa
