#include "tasks/text_places.h"

#include <algorithm>

#include "base/utf8.h"
#include "data/text_bounds.h"

namespace hone {

Characters::Characters(std::string_view text) {
  for (size_t position = 0; position < text.size(); next_code_point(text, position))
    starts_.push_back(static_cast<int64_t>(position));
  starts_.push_back(static_cast<int64_t>(text.size()));
}

int64_t Characters::at_byte(int64_t byte) const {
  return std::upper_bound(starts_.begin(), starts_.end(), byte) - starts_.begin() - 1;
}

TokenRange tokens_touching(const std::vector<Span>& tokens, Span bytes, int64_t from) {
  const auto count = static_cast<int64_t>(tokens.size());
  TokenRange range{from, from};
  while (range.begin < count && tokens[range.begin].end <= bytes.start) ++range.begin;
  range.end = range.begin;
  while (range.end < count && tokens[range.end].start < bytes.end) ++range.end;
  return range;
}

std::vector<Span> word_spans(const std::vector<std::vector<int32_t>>& words,
                             const std::vector<std::vector<Span>>& offsets, std::string_view text) {
  std::vector<Span> spans;
  for (size_t w = 0; w < words.size(); ++w) {
    for (size_t i = 0; i < words[w].size(); ++i) {
      if (words[w][i] < 0) continue;
      const auto word = static_cast<size_t>(words[w][i]);
      const Span& piece = offsets[w][i];
      if (word >= spans.size()) spans.resize(word + 1, Span{piece.start, piece.end});
      spans[word] = {std::min(spans[word].start, piece.start),
                     std::max(spans[word].end, piece.end)};
    }
  }
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span seen = visible_part(text, spans[i]);
    if (seen.start == seen.end) continue;
    const auto limit = i + 1 < spans.size() ? std::max(spans[i + 1].start, seen.end)
                                            : static_cast<int32_t>(text.size());
    spans[i] = {seen.start, character_end(text, seen.end, limit)};
  }
  return spans;
}

}  // namespace hone
