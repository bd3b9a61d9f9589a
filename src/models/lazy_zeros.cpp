#include "models/lazy_zeros.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>
#include <sys/mman.h>

namespace hone {
namespace {

constexpr int64_t kLargeBytes = 1 << 20;

}  // namespace

at::Tensor lazy_zeros(at::IntArrayRef shape, Touched touched) {
  const auto bytes = static_cast<size_t>(c10::multiply_integers(shape)) * sizeof(float);
  if (static_cast<int64_t>(bytes) < kLargeBytes) return at::zeros(shape);
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return at::zeros(shape);  // whose allocator says how much was wanted
  // A hint: no harm where it is refused. Large pages would make whole neighbourhoods of a sparse
  // row memory.
  ::madvise(memory, bytes, touched == Touched::kWhole ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return at::from_blob(
      memory, shape, [bytes](void* mapped) { ::munmap(mapped, bytes); }, at::kFloat);
}

}  // namespace hone
