// What the model reads of a choice: the text and the question around it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/sample.h"
#include "tasks/choice/gold.h"
#include "tasks/choice/options.h"

namespace hone::choice {

// A text, and the bytes of it that are the choice and never cut; empty: none are.
struct Part {
  std::string text;
  Span choice = {};
};

// One or two texts, of which one holds the choice.
using Parts = std::vector<Part>;

// The text, and question and choice as the second one; or question and choice, where there is no
// text. With a blank, the choice takes its place in the text, before a question, or in the
// question. Error(kData) where the blank does not stand exactly once in both together.
Parts parts_of(const Record& record, const std::string& choice, const Options& options);

}  // namespace hone::choice
