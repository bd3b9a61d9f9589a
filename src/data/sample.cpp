#include "data/sample.h"

namespace hone {

namespace {

template <typename T>
void append_to(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

void Sequence::append(const Sequence& other) {
  append_to(ids, other.ids);
  append_to(segments, other.segments);
  append_to(texts, other.texts);
  append_to(words, other.words);
  append_to(offsets, other.offsets);
  ends.push_back(static_cast<int32_t>(ids.size()));
}

int64_t Sample::size() const {
  int64_t rows = 0;
  for (const Sequence& stream : streams) rows += stream.size() + stream.features.rows();
  return rows;
}

}  // namespace hone
