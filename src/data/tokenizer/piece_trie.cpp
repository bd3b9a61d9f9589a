#include "data/tokenizer/piece_trie.h"

#include <algorithm>

namespace hone {

// Entries [begin, end) share their first `depth` bytes, which lead to `node`.
struct PieceTrie::Range {
  int32_t node;
  size_t begin, end, depth;
};

class PieceTrie::Builder {
 public:
  Builder(std::vector<Unit>& units, std::string& tails, const std::vector<Entry>& entries)
      : units_(units), tails_(tails), entries_(entries) {
    units_[0].parent = -2;  // the root is no place for a child
    next_free_.assign(units_.size() + 1, 0);
    for (size_t i = 0; i < next_free_.size(); ++i) next_free_[i] = static_cast<int32_t>(i);
  }

  void run() {
    std::vector<Range> open{{0, 0, entries_.size(), 0}};
    while (!open.empty()) {
      const Range range = open.back();
      open.pop_back();
      place_children(range, open);
    }
  }

 private:
  std::vector<Unit>& units_;
  std::string& tails_;
  const std::vector<Entry>& entries_;
  std::vector<int32_t> next_free_;  // of a place: the next one that may be free; itself if it is
  std::vector<Range> children_;
  std::vector<int32_t> bytes_;
  int32_t last_used_ = 0;

  // Places that failed for a node with many children are tried this often, then the end is taken:
  // building stays linear whatever the pieces.
  static constexpr int kMostTries = 128;

  bool is_free(int32_t at) const { return units_[at].parent == -1; }

  int32_t free_from(int32_t at) {
    int32_t end = at;
    while (!is_free(end)) {
      grow(end + 2);
      end = std::max(end + 1, next_free_[end]);
    }
    while (at < end) {  // the path becomes short for those who come later
      const int32_t next = std::max(at + 1, next_free_[at]);
      next_free_[at] = end;
      at = next;
    }
    return end;
  }

  void grow(int32_t places) {
    if (static_cast<size_t>(places) + 256 <= units_.size()) return;
    const size_t size = std::max<size_t>(places + 256, units_.size() * 3 / 2);
    for (size_t i = next_free_.size(); i <= size; ++i)
      next_free_.push_back(static_cast<int32_t>(i));
    units_.resize(size);
  }

  // Puts the entries that end here, and groups the others by their next byte.
  void group(const Range& range) {
    children_.clear();
    bytes_.clear();
    for (size_t i = range.begin; i < range.end; ++i) {
      const auto& [piece, id] = entries_[i];
      if (piece.size() == range.depth) {
        units_[range.node].id = id;
        continue;
      }
      const int32_t byte = static_cast<unsigned char>(piece[range.depth]);
      if (bytes_.empty() || bytes_.back() != byte) {
        bytes_.push_back(byte);
        children_.push_back({0, i, i, range.depth + 1});
      }
      children_.back().end = i + 1;
    }
  }

  bool fits(int32_t base) const {
    return std::all_of(bytes_.begin(), bytes_.end(),
                       [&](int32_t byte) { return is_free(base + byte); });
  }

  int32_t find_base() {
    int32_t first = free_from(bytes_.front() + 1);
    for (int i = 0; i < kMostTries; ++i) {
      const int32_t base = first - bytes_.front();
      grow(base + 256);
      if (fits(base)) return base;
      first = free_from(first + 1);
    }
    grow(last_used_ + 257);
    return last_used_ + 1;
  }

  // The rest of a piece where it is the only one.
  bool add_tail(const Range& range) {
    if (range.depth == 0) return false;
    const auto& [piece, id] = entries_[range.end - 1];
    if (piece.size() == range.depth || entries_[range.begin].first != piece) return false;
    units_[range.node].base = -1 - static_cast<int32_t>(tails_.size());
    const auto size = static_cast<uint32_t>(piece.size() - range.depth);
    tails_.append(reinterpret_cast<const char*>(&id), sizeof id);
    tails_.append(reinterpret_cast<const char*>(&size), sizeof size);
    tails_ += piece.substr(range.depth);
    return true;
  }

  void place_children(const Range& range, std::vector<Range>& open) {
    if (add_tail(range)) return;
    group(range);
    if (children_.empty()) return;
    const int32_t base = find_base();
    units_[range.node].base = base;
    for (size_t i = 0; i < children_.size(); ++i) {
      children_[i].node = base + bytes_[i];
      units_[children_[i].node].parent = range.node;
      last_used_ = std::max(last_used_, children_[i].node);
      open.push_back(children_[i]);
    }
  }
};

PieceTrie::PieceTrie(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.first < b.first; });
  Builder(units_, tails_, entries).run();
}

}  // namespace hone
