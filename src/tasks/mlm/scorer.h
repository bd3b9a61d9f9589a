// Perplexity of masked words, and how many of them are guessed.
#pragma once

#include <memory>

#include "tasks/mlm/options.h"
#include "tasks/task.h"

namespace hone::mlm {

// A result's fields: tokens that were guessed, their mean loss (null where there are none), how
// many were guessed right, and what is offered for each mask of the text's own.
constexpr const char *kTokens = "tokens", *kLoss = "loss", *kCorrect = "correct", *kMasks = "masks";

// `vocabulary`: tokens of the model, for the baseline; 0: not known.
std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary);

}  // namespace hone::mlm
