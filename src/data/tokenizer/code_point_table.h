// A value for every code point, computed when a block of 256 of them is first met: no start-up
// cost, one load afterwards.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <utility>

namespace hone {

template <typename T>
class CodePointTable {
 public:
  explicit CodePointTable(std::function<T(char32_t)> compute) : compute_(std::move(compute)) {}
  ~CodePointTable() {
    for (const auto& block : blocks_) delete block.load(std::memory_order_relaxed);
  }
  CodePointTable(const CodePointTable&) = delete;
  CodePointTable& operator=(const CodePointTable&) = delete;

  // REQUIRES: c <= 0x10FFFF. Thread-safe: two threads may compute the same block, one of them is
  // kept.
  const T& operator[](char32_t c) const {
    const Block* block = blocks_[c >> 8].load(std::memory_order_acquire);
    return (*(block != nullptr ? block : fill(c >> 8)))[c & 0xFF];
  }

 private:
  using Block = std::array<T, 256>;

  std::function<T(char32_t)> compute_;
  mutable std::array<std::atomic<const Block*>, 0x1100> blocks_{};

  const Block* fill(char32_t number) const {
    auto* block = new Block;
    for (char32_t i = 0; i < 256; ++i) (*block)[i] = compute_(number << 8 | i);
    const Block* known = nullptr;
    if (blocks_[number].compare_exchange_strong(known, block, std::memory_order_acq_rel))
      return block;
    delete block;
    return known;
  }
};

}  // namespace hone
