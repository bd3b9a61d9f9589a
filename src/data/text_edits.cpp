#include "data/text_edits.h"

#include <algorithm>

namespace hone {

void TextEdits::cut(size_t begin, size_t end) {
  if (begin == end) return;
  cuts_.push_back({begin - gone_, end});
  gone_ += end - begin;
}

std::vector<std::pair<size_t, size_t>> TextEdits::cuts() const {
  std::vector<std::pair<size_t, size_t>> list;
  size_t gone = 0;
  for (const Cut& cut : cuts_) {
    list.emplace_back(cut.kept_before + gone, cut.end);
    gone = cut.end - cut.kept_before;
  }
  return list;
}

size_t TextEdits::place(size_t cleaned) const {
  const auto after =
      std::upper_bound(cuts_.begin(), cuts_.end(), cleaned,
                       [](size_t at, const Cut& cut) { return at < cut.kept_before; });
  if (after == cuts_.begin()) return cleaned;
  const Cut& cut = *(after - 1);
  return cut.end + (cleaned - cut.kept_before);
}

Span TextEdits::as_read(Span cleaned) const {
  const size_t start = place(static_cast<size_t>(cleaned.start));
  if (cleaned.start == cleaned.end)
    return {static_cast<int32_t>(start), static_cast<int32_t>(start)};
  size_t end = place(static_cast<size_t>(cleaned.end) - 1) + 1;
  while (end < as_read_.size() && (static_cast<unsigned char>(as_read_[end]) & 0xC0) == 0x80) ++end;
  return {static_cast<int32_t>(start), static_cast<int32_t>(end)};
}

}  // namespace hone
