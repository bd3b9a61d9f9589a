#include "tasks/metrics/text/lcs.h"

#include <algorithm>
#include <cmath>

namespace hone::metrics {
namespace {

uint64_t bit(uint64_t place) { return uint64_t{1} << place % 64; }

}  // namespace

CommonSubsequence::CommonSubsequence(std::vector<int32_t> text)
    : text_(std::move(text)), matches_((text_.size() + 63) / 64) {
  for (uint32_t i = 0; i < text_.size(); ++i) places_[text_[i]].list.push_back(i);
  for (auto& [token, places] : places_) {
    if (places.list.size() <= matches_.size()) continue;
    places.bits.resize(matches_.size());
    for (const uint32_t place : places.list) places.bits[place / 64] |= bit(place);
    places.list.clear();
  }
}

// V becomes (V + (V & M)) | (V & ~M), as one number of many words.
void CommonSubsequence::advance(Column& column, int32_t token) {
  const auto found = places_.find(token);
  if (found == places_.end()) return;
  for (const uint32_t place : found->second.list) matches_[place / 64] |= bit(place);
  const Column& matches = found->second.bits.empty() ? matches_ : found->second.bits;
  uint64_t carry = 0;
  for (size_t i = 0; i < column.size(); ++i) {
    const uint64_t own = column[i], matched = own & matches[i];
    const uint64_t sum = own + matched, with_carry = sum + carry;
    carry = (sum < own || with_carry < sum) ? 1 : 0;
    column[i] = with_carry | (own & ~matches[i]);
  }
  for (const uint32_t place : found->second.list) matches_[place / 64] = 0;
}

int64_t CommonSubsequence::length(std::span<const int32_t> other) {
  Column column = first();
  for (const int32_t token : other) advance(column, token);
  int64_t length = 0;
  for (size_t i = 0; i < text_.size(); ++i) length += grows_at(column, static_cast<int64_t>(i));
  return length;
}

// The columns behind each token of `other`, where `column` stands before the first.
std::vector<CommonSubsequence::Column> CommonSubsequence::columns_behind(
    Column column, std::span<const int32_t> other) {
  std::vector<Column> columns;
  columns.reserve(other.size());
  for (const int32_t token : other) {
    advance(column, token);
    columns.push_back(column);
  }
  return columns;
}

// Every so many columns are kept; those between two are worked out again on the way back.
std::vector<std::pair<int64_t, int64_t>> CommonSubsequence::places(std::span<const int32_t> other) {
  const auto block =
      std::max<size_t>(1, static_cast<size_t>(std::sqrt(static_cast<double>(other.size()))));
  std::vector<Column> kept;
  Column column = first();
  for (size_t j = 0; j < other.size(); ++j) {
    if (j % block == 0) kept.push_back(column);
    advance(column, other[j]);
  }
  std::vector<std::pair<int64_t, int64_t>> places;
  auto i = static_cast<int64_t>(text_.size());
  for (size_t part = kept.size(); part-- > 0 && i > 0;) {
    const size_t begin = part * block;
    const std::span<const int32_t> tokens =
        other.subspan(begin, std::min(block, other.size() - begin));
    const std::vector<Column> columns = columns_behind(std::move(kept[part]), tokens);
    for (size_t j = tokens.size(); j > 0 && i > 0;) {
      if (text_[static_cast<size_t>(i - 1)] == tokens[j - 1]) {
        places.emplace_back(--i, static_cast<int64_t>(begin + --j));
      } else if (grows_at(columns[j - 1], i - 1)) {
        --j;
      } else {
        --i;
      }
    }
  }
  std::reverse(places.begin(), places.end());
  return places;
}

}  // namespace hone::metrics
