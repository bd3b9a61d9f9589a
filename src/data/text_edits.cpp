#include "data/text_edits.h"

#include <algorithm>

namespace hone {

void TextEdits::cut(size_t begin, size_t end) {
  if (begin == end) return;
  cuts_.push_back({begin - gone_, end});
  gone_ += end - begin;
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
