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

void TextEdits::replace(size_t begin, size_t end, size_t length) {
  const int32_t moved =
      replaced_.empty() ? 0 : replaced_.back().here.end - replaced_.back().cleaned.end;
  const Span of{static_cast<int32_t>(begin), static_cast<int32_t>(end)};
  replaced_.push_back({{of.start + moved, of.start + moved + static_cast<int32_t>(length)}, of});
}

// Each end by the last replacement that begins before it: within it, the end of what it stands for.
Span TextEdits::cleaned(Span changed) const {
  Span found = changed;
  for (const Replaced& one : replaced_) {
    if (one.here.start <= changed.start)
      found.start = changed.start < one.here.end ? one.cleaned.start
                                                 : changed.start - one.here.end + one.cleaned.end;
    if (one.here.start < changed.end)
      found.end = changed.end <= one.here.end ? one.cleaned.end
                                              : changed.end - one.here.end + one.cleaned.end;
  }
  if (changed.start == changed.end) found.end = found.start;
  return found;
}

size_t TextEdits::place(size_t cleaned) const {
  const auto after =
      std::upper_bound(cuts_.begin(), cuts_.end(), cleaned,
                       [](size_t at, const Cut& cut) { return at < cut.kept_before; });
  if (after == cuts_.begin()) return cleaned;
  const Cut& cut = *(after - 1);
  return cut.end + (cleaned - cut.kept_before);
}

Span TextEdits::as_read(Span changed) const {
  const Span cleaned = replaced_.empty() ? changed : this->cleaned(changed);
  const size_t start = place(static_cast<size_t>(cleaned.start));
  if (cleaned.start == cleaned.end)
    return {static_cast<int32_t>(start), static_cast<int32_t>(start)};
  size_t end = place(static_cast<size_t>(cleaned.end) - 1) + 1;
  while (end < as_read_.size() && (static_cast<unsigned char>(as_read_[end]) & 0xC0) == 0x80) ++end;
  return {static_cast<int32_t>(start), static_cast<int32_t>(end)};
}

}  // namespace hone
