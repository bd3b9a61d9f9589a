// The longest common subsequence of token numbers, 64 cells of the usual table at a time (Hyyrö
// 2004, "Bit-parallel LCS-length computation revisited").
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hone::metrics {

// One text that others are compared with.
class CommonSubsequence {
 public:
  explicit CommonSubsequence(std::vector<int32_t> text);

  int64_t length(std::span<const int32_t> other);

  // Places of the text and of `other` that belong together, in their order; of several longest
  // ones, rouge-score's: a walk back from the ends of both leaves out a token of `other` where the
  // text's last one is needed, else one of the text. Memory grows with the text's length times the
  // root of the other's.
  std::vector<std::pair<int64_t, int64_t>> places(std::span<const int32_t> other);

 private:
  // A column of the table: bit i is 0 where the table grows from row i to row i + 1.
  using Column = std::vector<uint64_t>;

  // Where a token stands in the text: as a list, or as bits where a list would be longer.
  struct Places {
    std::vector<uint32_t> list;
    Column bits;
  };

  Column first() const { return Column(matches_.size(), ~uint64_t{0}); }
  void advance(Column& column, int32_t token);
  std::vector<Column> columns_behind(Column column, std::span<const int32_t> other);
  bool grows_at(const Column& column, int64_t row) const {
    return (column[static_cast<size_t>(row) / 64] >> (row % 64) & 1) == 0;
  }

  std::vector<int32_t> text_;
  std::unordered_map<int32_t, Places> places_;
  Column matches_;  // all 0 between calls
};

}  // namespace hone::metrics
