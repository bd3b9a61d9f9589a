#include "data/conflicts.h"

#include <algorithm>
#include <tuple>

namespace hone {
namespace {

constexpr size_t kNamedTexts = 20;

}  // namespace

Json Conflicts::json() const {
  Json places = Json::array();
  for (const auto& [first, other] : examples) places.push_back({first.str(), other.str()});
  return {{"texts", texts}, {"rows", rows}, {"examples", places}};
}

void ConflictFinder::add(const Record& record, uint64_t text, uint64_t targets) {
  rows_.push_back({text, targets, record.file, record.line});
}

Conflicts ConflictFinder::find() {
  std::stable_sort(rows_.begin(), rows_.end(),
                   [](const Row& a, const Row& b) { return a.text < b.text; });
  const auto where = [](const Row& row) { return Where{row.file ? *row.file : "", row.line, 0}; };
  Conflicts conflicts;
  for (auto first = rows_.begin(); first != rows_.end();) {
    const auto end =
        std::find_if(first, rows_.end(), [&](const Row& row) { return row.text != first->text; });
    const auto other =
        std::find_if(first, end, [&](const Row& row) { return row.targets != first->targets; });
    if (other != end) {
      ++conflicts.texts;
      conflicts.rows += end - first;
      conflicts.examples.emplace_back(where(*first), where(*other));
    }
    first = end;
  }
  std::sort(conflicts.examples.begin(), conflicts.examples.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first.file, a.first.line) < std::tie(b.first.file, b.first.line);
  });
  if (conflicts.examples.size() > kNamedTexts) conflicts.examples.resize(kNamedTexts);
  return conflicts;
}

}  // namespace hone
