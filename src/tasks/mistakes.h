// The most confident mistakes of a test set, kept while it streams by.
#pragma once

#include <vector>

#include "tasks/report.h"

namespace hone {

constexpr size_t kMistakesKept = 100;

class MistakeList {
 public:
  // False where a mistake of this confidence would not be kept: spare yourself its text.
  bool wants(double confidence) const {
    return kept_.size() < kMistakesKept || confidence > kept_.back().confidence;
  }
  void add(Example mistake);
  const std::vector<Example>& most_confident_first() const { return kept_; }
  // `measure`: what their confidence is.
  Section section(const char* title = "most confident mistakes",
                  const char* measure = "confidence") const;

 private:
  std::vector<Example>
      kept_;  // sorted by confidence, equal ones in the order they came; at most kMistakesKept
};

}  // namespace hone
