// Byte strings by index, memory flat: those beyond `memory_limit` bytes live in an unlinked file on
// the disk of `spill_dir`, which need not exist. Writing is by one thread; reading is thread-safe
// once `seal` was called.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hone {

class ByteStore {
 public:
  ByteStore(std::string spill_dir, int64_t memory_limit);
  ~ByteStore();
  ByteStore(ByteStore&&) noexcept;

  void add(std::string_view bytes);
  void seal();
  int64_t size() const;
  // REQUIRES: seal was called. `read` holds the bytes where they come from the file.
  std::string_view get(int64_t index, std::string& read) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hone
