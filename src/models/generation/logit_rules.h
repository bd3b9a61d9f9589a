// What options make of the scores of the next token: a table of rules in the order in which
// Transformers applies its processors.
#pragma once

#include <cstdint>
#include <span>

#include "models/generation/options.h"

namespace hone {

// Where in an answer the next token stands.
struct AnswerSoFar {
  std::span<const int32_t> ids;  // of the prompt, then of the answer
  int64_t prompt = 0;            // how many of them are the prompt's
  int64_t room = 0;              // tokens that the answer may have at most

  int64_t answered() const { return static_cast<int64_t>(ids.size()) - prompt; }
};

// Changes the scores [V] of the next token; what may not be chosen becomes -inf. Of greedy search
// and sampling they are logits, of a beam search log-probabilities, as in Transformers.
void apply_rules(const GenerationOptions& options, const AnswerSoFar& so_far,
                 std::span<float> scores);

}  // namespace hone
