#include "run/right.h"

namespace hone {

std::optional<bool> is_right(const Task& task, const Record& gold, const Json& result) {
  const std::unique_ptr<Scorer> scorer = task.make_scorer();
  scorer->add(gold, result);
  const Report report = scorer->report();
  for (const Section& section : report.sections) {
    const auto* mistakes = std::get_if<Examples>(&section.content);
    if (section.key == "mistakes" && mistakes != nullptr && mistakes->measure == "confidence")
      return mistakes->items.empty();
  }
  return std::nullopt;
}

}  // namespace hone
