#include "tasks/truncate.h"

#include <algorithm>

namespace hone {
namespace {

int64_t length(const Encoding& encoding) { return static_cast<int64_t>(encoding.ids.size()); }

bool cut(Encoding& encoding, int64_t room) {
  if (length(encoding) <= room) return false;
  encoding.ids.resize(room);
  encoding.offsets.resize(room);
  encoding.words.resize(room);
  return true;
}

}  // namespace

bool truncate_longest_first(Encoding& first, Encoding* second, int64_t room) {
  room = std::max<int64_t>(room, 0);
  if (second == nullptr) return cut(first, room);
  if (length(first) + length(*second) <= room) return false;
  // tokenizers/src/utils/truncation.rs: the shorter one keeps its length where that leaves the
  // longer one at least as much; else both are halved, and the odd token goes to the longer.
  const bool is_first_longer = length(first) > length(*second);
  int64_t small = std::min(length(first), length(*second));
  int64_t large = small > room ? small : std::max(small, room - small);
  if (small + large > room) {
    small = room / 2;
    large = small + room % 2;
  }
  const bool cut_first = cut(first, is_first_longer ? large : small);
  return cut(*second, is_first_longer ? small : large) || cut_first;
}

int64_t length_limit(int64_t max_seq_length, const Tokenizer& tokenizer) {
  if (max_seq_length > 0) return max_seq_length;
  return tokenizer.max_length() > 0 ? tokenizer.max_length() : 512;
}

}  // namespace hone
