#include "tasks/mistakes.h"

#include <algorithm>

namespace hone {

void MistakeList::add(Example mistake) {
  if (!wants(mistake.confidence)) return;
  const auto place = std::upper_bound(kept_.begin(), kept_.end(), mistake.confidence,
                                      [](double c, const Example& m) { return c > m.confidence; });
  kept_.insert(place, std::move(mistake));
  if (kept_.size() > kMistakesKept) kept_.pop_back();
}

Section MistakeList::section(const char* title, const char* measure) const {
  return {"mistakes", title, Examples{kept_, measure, "mistake_measure"}};
}

}  // namespace hone
