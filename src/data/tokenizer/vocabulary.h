// Tokens and ids, both ways, without an allocation per look-up: the bytes of all tokens in one
// pool, ids in an open-addressing table.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

inline uint64_t read8(const char* at) {
  uint64_t x;
  std::memcpy(&x, at, 8);
  return x;
}

inline uint64_t read4(const char* at) {
  uint32_t x;
  std::memcpy(&x, at, 4);
  return x;
}

// memcmp(a, b, size) == 0, without a call up to 16 bytes: two reads that may overlap cover them.
inline bool equal_bytes(const char* a, const char* b, size_t size) {
  if (size > 16) return std::memcmp(a, b, size) == 0;
  if (size >= 8) return read8(a) == read8(b) && read8(a + size - 8) == read8(b + size - 8);
  if (size >= 4) return read4(a) == read4(b) && read4(a + size - 4) == read4(b + size - 4);
  return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
}

// A hash of a short string: two overlapping reads of eight bytes at most per sixteen, one wide
// multiplication each.
inline uint64_t hash_bytes(const char* data, size_t size) {
  constexpr uint64_t kFirst = 0x9E3779B97F4A7C15ULL, kSecond = 0xD6E8FEB86659FD93ULL;
  const auto fold = [](uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = size * kFirst;
  for (; size > 16; data += 16, size -= 16)
    hash = fold(read8(data) ^ hash ^ kFirst, read8(data + 8) ^ kSecond);
  uint64_t a = 0, b = 0;
  if (size >= 8) {
    a = read8(data);
    b = read8(data + size - 8);
  } else if (size >= 4) {
    a = read4(data);
    b = read4(data + size - 4);
  } else if (size > 0) {
    a = static_cast<unsigned char>(data[0]) |
        static_cast<uint64_t>(static_cast<unsigned char>(data[size / 2])) << 8 |
        static_cast<uint64_t>(static_cast<unsigned char>(data[size - 1])) << 16;
  }
  return fold(a ^ hash ^ kFirst, b ^ kSecond ^ hash);
}

class Vocabulary {
 public:
  static constexpr int32_t kNone = -1;
  static constexpr int64_t kMostIds = 1 << 24;  // ids are below this; more would be a damaged file

  // REQUIRES: 0 <= id < kMostIds. A token set twice has the later id, as in the reference; true
  // where it was new.
  bool set(std::string_view token, int32_t id);

  // A token with the next id. Of equal ones the later is found, and the earlier keep their text.
  bool append(std::string_view token);

  int32_t find(std::string_view token) const;
  std::string_view token(int32_t id) const;  // "" where there is none
  bool has(int32_t id) const { return id >= 0 && id < end_id() && places_[id].size != kNoToken; }
  int32_t end_id() const {
    return static_cast<int32_t>(places_.size());
  }  // one past the largest id
  size_t longest() const { return longest_; }  // bytes of the longest token

 private:
  static constexpr uint32_t kNoToken = UINT32_MAX;
  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNone;
  };

  struct Place {
    uint32_t start = 0, size = kNoToken;
  };

  std::string pool_;
  std::vector<Place> places_;  // of each id's token in pool_
  std::vector<Slot> slots_;    // a power of two, at most half full
  size_t used_ = 0, longest_ = 0;

  size_t slot_of(std::string_view token, uint64_t hash) const;
  void grow();
  void place(std::string_view token, uint64_t hash, int32_t id, Slot& slot);
};

inline size_t Vocabulary::slot_of(std::string_view token, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const uint32_t tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id == kNone) return at;
    if (slot.hash != tag) continue;
    const Place place = places_[slot.id];
    if (place.size == token.size() &&
        equal_bytes(pool_.data() + place.start, token.data(), token.size()))
      return at;
  }
}

inline int32_t Vocabulary::find(std::string_view token) const {
  if (slots_.empty() || token.size() > longest_) return kNone;
  return slots_[slot_of(token, hash_bytes(token.data(), token.size()))].id;
}

}  // namespace hone
