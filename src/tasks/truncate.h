// Cutting texts to a length in tokens.
#pragma once

#include "data/tokenizer/tokenizer.h"

namespace hone {

// Cuts at the end until both fit into `room` tokens, the longer one first: the "longest_first" of
// Hugging Face tokenizers. `second` may be nullptr. True where anything was cut.
bool truncate_longest_first(Encoding& first, Encoding* second, int64_t room);

// `max_seq_length`, or what the tokenizer states (512 where it states nothing) where that is 0.
int64_t length_limit(int64_t max_seq_length, const Tokenizer& tokenizer);

}  // namespace hone
