#include "models/kernels/kept_memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/accumulate.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <vector>

namespace hone::kernels {
namespace {

constexpr size_t kLargeBytes = size_t{1} << 20;

class Kept {
 public:
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::vector<void*>& free = free_[bytes];
    if (free.empty()) return map(bytes);
    void* const memory = free.back();
    free.pop_back();
    return memory;
  }
  void give_back(void* memory, size_t bytes) {
    const std::lock_guard lock(mutex_);
    free_[bytes].push_back(memory);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [bytes, free] : free_) {
      for (void* memory : free) ::munmap(memory, bytes);
    }
    free_.clear();
  }

 private:
  static void* map(size_t bytes) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    ::madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: no harm where it is refused
    return memory;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // by size
};

// Lives as long as the last tensor, which may be one of a global variable.
Kept& kept() {
  static auto* const instance = new Kept;
  return *instance;
}

}  // namespace

at::Tensor kept_empty(at::IntArrayRef sizes) {
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * sizeof(float);
  void* const memory = bytes < kLargeBytes ? nullptr : kept().take(bytes);
  if (memory == nullptr) return at::empty(sizes, at::kFloat);
  return at::from_blob(
      memory, sizes, [bytes](void* given) { kept().give_back(given, bytes); }, at::kFloat);
}

void release_kept_memory() { kept().release(); }

}  // namespace hone::kernels
