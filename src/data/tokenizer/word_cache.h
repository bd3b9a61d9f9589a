// The pieces of words met before on this thread; a model always cuts a word the same way, and most
// words of a text are few.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {

// Direct-mapped: a word has one place, where the last word with that place stands. An entry is a
// cache line.
class WordCache {
 public:
  static constexpr size_t kMostBytes = 16, kMostPieces = 8;

  static WordCache& of_this_thread() {
    thread_local WordCache cache;
    return cache;
  }

  // Tells one model's words from another's.
  static uint32_t new_serial() {
    static std::atomic<uint32_t> serial{0};
    return ++serial;
  }

  // Appends the word's pieces, made by `tokenize(word, out)` unless they are known.
  template <typename Tokenize>
  void tokenize(uint32_t serial, std::string_view word, std::vector<Piece>& out,
                const Tokenize& tokenize) {
    if (word.size() > kMostBytes) return tokenize(word, out);
    Entry& entry = entries_[hash_bytes(word.data(), word.size()) & (entries_.size() - 1)];
    if (entry.serial == serial && entry.size == word.size() &&
        equal_bytes(entry.bytes.data(), word.data(), word.size())) {
      return entry.append_to(out);
    }
    const size_t before = out.size();
    tokenize(word, out);
    entry.keep(serial, word, out.data() + before, out.size() - before);
  }

 private:
  struct alignas(64) Entry {
    uint32_t serial = 0;  // 0: free
    uint8_t size = 0, pieces = 0;
    std::array<char, kMostBytes> bytes{};
    std::array<uint8_t, kMostPieces> ends{};
    std::array<int32_t, kMostPieces> ids{};

    void append_to(std::vector<Piece>& out) const {
      int32_t begin = 0;
      for (int i = 0; i < pieces; ++i) {
        out.push_back({ids[i], begin, ends[i]});
        begin = ends[i];
      }
    }

    // Pieces are known by their ends alone, so they must cover the word (a model may leave
    // characters out).
    void keep(uint32_t model, std::string_view word, const Piece* list, size_t count) {
      int32_t end = 0;
      for (size_t i = 0; i < count; ++i) end = list[i].begin == end ? list[i].end : -1;
      if (count > kMostPieces || end != static_cast<int32_t>(word.size())) return;
      serial = model;
      size = static_cast<uint8_t>(word.size());
      pieces = static_cast<uint8_t>(count);
      std::memcpy(bytes.data(), word.data(), word.size());
      for (size_t i = 0; i < count; ++i) {
        ids[i] = list[i].id;
        ends[i] = static_cast<uint8_t>(list[i].end);
      }
    }
  };
  std::vector<Entry> entries_ = std::vector<Entry>(1 << 13);  // half a megabyte
};

}  // namespace hone
