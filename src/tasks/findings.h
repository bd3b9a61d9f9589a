// What a reader should know before believing a score: leaks, classes that are never predicted, a
// score no better than one without a model. Text, JSON and page show them first.
#pragma once

#include <string>
#include <vector>

#include "tasks/report.h"

namespace hone {

// Two rows beside each other.
struct Comparison {
  Where here, there;
  std::string text, other_text;
  std::string note;  // how alike they are, or their labels
};

struct Finding {
  std::string text;                // one sentence, without the names
  std::vector<std::string> names;  // whom it is about
  std::vector<Comparison> examples;

  Json json() const;
};

std::vector<Finding> findings(const Report& report, const RunSummary& run);

}  // namespace hone
