#include "tasks/mistakes.h"

#include <algorithm>

namespace hone {

void MistakeList::add(Mistake mistake) {
  if (!wants(mistake.confidence)) return;
  const auto place = std::upper_bound(kept_.begin(), kept_.end(), mistake.confidence,
                                      [](double c, const Mistake& m) { return c > m.confidence; });
  kept_.insert(place, std::move(mistake));
  if (kept_.size() > kMistakesKept) kept_.pop_back();
}

}  // namespace hone
