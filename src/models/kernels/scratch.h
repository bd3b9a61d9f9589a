// Working memory of a kernel's thread: kept between calls, aligned for vectors, handed out piece by
// piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace hone::kernels {

class Scratch {
 public:
  // Room for `bytes` in all, each piece rounded up to 64. Pieces live until the next Scratch of
  // this thread.
  explicit Scratch(size_t bytes) : next_(reserve(bytes)) {}

  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += rounded(static_cast<size_t>(count) * sizeof(T));
    return piece;
  }
  static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  static std::byte* reserve(size_t bytes) {
    thread_local std::unique_ptr<std::byte[], Free> memory;
    thread_local size_t capacity = 0;
    if (bytes > capacity) {
      memory.reset();
      memory.reset(new (std::align_val_t(64)) std::byte[bytes]);
      capacity = bytes;
    }
    return memory.get();
  }
  std::byte* next_;
};

}  // namespace hone::kernels
