#include "tasks/nested_ner/views.h"

#include <algorithm>
#include <limits>

#include "tasks/pointer.h"

namespace hone::nested_ner {

Views::Views(std::span<const Row> rows) {
  for (size_t w = 0; w < rows.size(); ++w) {
    const Sequence& sequence = rows[w].sample->streams[0];
    const TokenRange text = text_in(sequence);
    views_.push_back({text,
                      {sequence.offsets.begin() + text.begin, sequence.offsets.begin() + text.end},
                      w == 0,
                      w + 1 == rows.size()});
  }
}

bool Views::View::holds(const Span& bytes) const {
  return !offsets.empty() && offsets.front().start <= bytes.start &&
         bytes.end <= offsets.back().end;
}

int64_t Views::View::context_of(const Span& bytes) const {
  constexpr int64_t kNoCut = std::numeric_limits<int64_t>::max();
  return std::min(is_first ? kNoCut : int64_t{bytes.start} - offsets.front().start,
                  is_last ? kNoCut : int64_t{offsets.back().end} - bytes.end);
}

Span Views::bytes(size_t window, int64_t first, int64_t last) const {
  return {views_[window].offsets[first].start, views_[window].offsets[last].end};
}

size_t Views::answering(const Span& bytes) const {
  size_t best = views_.size();
  for (size_t w = 0; w < views_.size(); ++w) {
    if (!views_[w].holds(bytes)) continue;
    if (best == views_.size() || views_[w].context_of(bytes) > views_[best].context_of(bytes))
      best = w;
  }
  return best;
}

TokenRange Views::tokens(size_t window, const Span& bytes) const {
  const View& view = views_[window];
  return view.holds(bytes) ? tokens_touching(view.offsets, bytes) : TokenRange{};
}

}  // namespace hone::nested_ner
