// Perplexity of tokens and of bytes; where losses lie; scores of generated answers.
#pragma once

#include <memory>

#include "tasks/causal_lm/options.h"
#include "tasks/task.h"

namespace hone::causal_lm {

// A result's fields. Of a row whose loss is known: the mean over its tokens with a loss (null where
// there are none), how many they are, the bytes of their text, and [sum, tokens] of each answer and
// of each band of places in the sample.
constexpr const char *kLoss = "loss", *kTokens = "tokens", *kBytes = "bytes",
                     *kByAnswer = "by_answer", *kByPosition = "by_position";
// Of a row that was answered: the text, and what facts_of (tasks/writing.h) says of it.
constexpr const char *kAnswer = "answer", *kAnswerTokens = "answer_tokens",
                     *kFinishReason = "finish_reason";

// The band of a place in its sample: [0, 64), [64, 256), [256, 1024), …
size_t position_band(int64_t position);

// `vocabulary`: tokens of the model, for the baseline; 0: not known.
std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary);

}  // namespace hone::causal_lm
