// Tokens and ids, both ways, without an allocation per look-up: the bytes of all tokens in one pool, ids in an open-addressing table.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

// A hash of a short string: two overlapping reads of eight bytes at most per sixteen, one wide multiplication each.
inline uint64_t hash_bytes(const char* data, size_t size) {
  constexpr uint64_t kFirst = 0x9E3779B97F4A7C15ULL, kSecond = 0xD6E8FEB86659FD93ULL;
  const auto read8 = [](const char* at) { uint64_t x; std::memcpy(&x, at, 8); return x; };
  const auto read4 = [](const char* at) { uint32_t x; std::memcpy(&x, at, 4); return static_cast<uint64_t>(x); };
  const auto fold = [](uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = size * kFirst;
  for (; size > 16; data += 16, size -= 16) hash = fold(read8(data) ^ hash ^ kFirst, read8(data + 8) ^ kSecond);
  uint64_t a = 0, b = 0;
  if (size >= 8) {
    a = read8(data);
    b = read8(data + size - 8);
  } else if (size >= 4) {
    a = read4(data);
    b = read4(data + size - 4);
  } else if (size > 0) {
    a = static_cast<unsigned char>(data[0]) | static_cast<uint64_t>(static_cast<unsigned char>(data[size / 2])) << 8 |
        static_cast<uint64_t>(static_cast<unsigned char>(data[size - 1])) << 16;
  }
  return fold(a ^ hash ^ kFirst, b ^ kSecond ^ hash);
}

class Vocabulary {
 public:
  static constexpr int32_t kNone = -1;
  static constexpr int64_t kMostIds = 1 << 24;  // ids are below this; more would be a damaged file

  // REQUIRES: 0 <= id < kMostIds. A token set twice has the later id, as in the reference; true where it was new.
  bool set(std::string_view token, int32_t id);

  int32_t find(std::string_view token) const;
  std::string_view token(int32_t id) const;  // "" where there is none
  bool has(int32_t id) const { return id >= 0 && id < end_id() && sizes_[id] != kNoToken; }
  int32_t end_id() const { return static_cast<int32_t>(sizes_.size()); }  // one past the largest id
  size_t longest() const { return longest_; }                            // bytes of the longest token

 private:
  static constexpr uint32_t kNoToken = UINT32_MAX;
  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNone;
  };

  std::string pool_;
  std::vector<uint32_t> starts_, sizes_;  // of each id's token in pool_
  std::vector<Slot> slots_;               // a power of two, at most half full
  size_t used_ = 0, longest_ = 0;

  size_t slot_of(std::string_view token, uint64_t hash) const;
  void grow();
};

inline size_t Vocabulary::slot_of(std::string_view token, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const uint32_t tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id == kNone) return at;
    if (slot.hash == tag && sizes_[slot.id] == token.size() && std::memcmp(pool_.data() + starts_[slot.id], token.data(), token.size()) == 0) {
      return at;
    }
  }
}

inline int32_t Vocabulary::find(std::string_view token) const {
  if (slots_.empty() || token.size() > longest_) return kNone;
  return slots_[slot_of(token, hash_bytes(token.data(), token.size()))].id;
}

}  // namespace hone
