// A trie over the bytes of a vocabulary's pieces as a double array (Aoe 1989, "An efficient digital
// search algorithm by using a double-array structure"): a step down is one load and one comparison.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone {

class PieceTrie {
 public:
  using Entry = std::pair<std::string_view, int32_t>;  // a piece, not empty, and its id

  PieceTrie() = default;
  // Of entries with the same piece the last counts.
  explicit PieceTrie(std::vector<Entry> entries);

  // Calls found(end, id) for each piece that stands in `text` from `at` on, the shortest first.
  template <typename Found>
  void prefixes(std::string_view text, size_t at, const Found& found) const {
    int32_t node = 0;
    while (at < text.size()) {
      const int32_t base = units_[node].base;
      if (base < 0) {
        const Tail tail = tail_at(-1 - base);
        if (text.substr(at, tail.bytes.size()) == tail.bytes)
          found(at + tail.bytes.size(), tail.id);
        return;
      }
      const int32_t child = base + static_cast<unsigned char>(text[at]);
      if (units_[child].parent != node) return;
      node = child;
      ++at;
      if (units_[node].id >= 0) found(at, units_[node].id);
    }
  }

 private:
  // base + byte is the child's place; every base leaves room for 256 children in units_. Where one
  // piece alone goes on, base is -1 less the place of the rest of it in tails_.
  struct Unit {
    int32_t base = 0, parent = -1, id = -1;
  };
  struct Tail {
    int32_t id;
    std::string_view bytes;
  };
  struct Range;
  class Builder;

  std::vector<Unit> units_ = std::vector<Unit>(257);
  std::string tails_;  // of each: id, size, bytes

  Tail tail_at(size_t place) const {
    int32_t id;
    uint32_t size;
    std::memcpy(&id, tails_.data() + place, sizeof id);
    std::memcpy(&size, tails_.data() + place + sizeof id, sizeof size);
    return {id, std::string_view(tails_).substr(place + sizeof id + sizeof size, size)};
  }
};

}  // namespace hone
