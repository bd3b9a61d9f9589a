// A turn of a dialogue that has a label, and the turns before it.
#pragma once

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/classify/options.h"

namespace hone::classify {

// Of a row whose text is a list of turns, of which the last has the label: what the model reads, at
// most `longest` tokens. The `history` turns before the last are the first of a pair of texts, with
// " / " between them; without any it is empty. Too long, the history loses its beginning, then the
// turn its end. Error(kData) for what is no list of texts, or an empty one.
Sequence turn_sequence(const Record& record, const Options& options, const Tokenizer& tokenizer,
                       int64_t longest, bool* truncated);

}  // namespace hone::classify
