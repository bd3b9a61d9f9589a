// The part of a text that a label is about (aspect-based sentiment): where a record says it is, and
// how the model is told.
#pragma once

#include <string>

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/classify/options.h"

namespace hone::classify {

struct Aspect {
  Span bytes;          // of the text as it was read
  std::string repair;  // what the record says wrongly of it; "" where nothing is
};
// From {"start": 4, "end": 11}, which may have the aspect's "text" too, or [4, 11]: characters of
// the text; or from the aspect's text alone. Where text and place differ, or none is given, the
// only place of the text is taken. Error(kData) for what lies outside of the text, holds nothing,
// or cannot be told.
Aspect aspect_of(const Record& record, const Options& options);

// What the model reads, at most `longest` tokens: text and aspect as a pair, or the text with marks
// around the aspect. The text is cut on both sides of the aspect, evenly.
Sequence aspect_sequence(const Record& record, const Options& options, const Tokenizer& tokenizer,
                         int64_t longest, bool* truncated);

}  // namespace hone::classify
