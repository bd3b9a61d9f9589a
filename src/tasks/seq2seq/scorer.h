// Scores of what was written beside the gold texts, and perplexity of the gold ones.
#pragma once

#include <memory>

#include "tasks/seq2seq/options.h"
#include "tasks/task.h"

namespace hone::seq2seq {

// A result's fields beside the target's text: the mean loss of the gold text's tokens (null where
// there are none) and how many these are; of a text that was written what facts_of
// (tasks/writing.h) says.
constexpr const char *kLoss = "loss", *kTokens = "tokens", *kAnswerTokens = "answer_tokens",
                     *kFinishReason = "finish_reason";

// `vocabulary`: tokens of the target, for the baseline of perplexity; 0: not known.
std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary);

}  // namespace hone::seq2seq
