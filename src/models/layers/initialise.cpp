#include "models/layers/initialise.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/util/accumulate.h>
#include <sys/mman.h>

#include <array>
#include <cmath>

#include "base/random.h"

namespace hone {
namespace {

// Four normals from four random words (Box and Muller 1958).
std::array<float, 4> normals(uint64_t seed, uint64_t counter) {
  const auto words = philox(seed, counter, 0);
  std::array<float, 4> out;
  for (int pair = 0; pair < 4; pair += 2) {
    const double uniform = (words[pair] + 1.0) / 4294967296.0;  // (0, 1]
    const double radius = std::sqrt(-2 * std::log(uniform)), angle = 2 * M_PI * (words[pair + 1] / 4294967296.0);
    out[pair] = float(radius * std::cos(angle));
    out[pair + 1] = float(radius * std::sin(angle));
  }
  return out;
}

constexpr int64_t kLargeBytes = 1 << 20;

}  // namespace

at::Tensor lazy_zeros(const std::vector<int64_t>& shape) {
  const auto bytes = size_t(c10::multiply_integers(shape)) * sizeof(float);
  if (int64_t(bytes) < kLargeBytes) return at::zeros(shape);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return at::zeros(shape);  // whose allocator says how much was wanted
  ::madvise(memory, bytes, MADV_HUGEPAGE);            // a hint: no harm where it is refused
  return at::from_blob(
      memory, shape, [bytes](void* mapped) { ::munmap(mapped, bytes); }, at::kFloat);
}

void fill_normal(const at::Tensor& tensor, double range, uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
  float* const out = values.data_ptr<float>();
  const int64_t size = values.numel();
  at::parallel_for(0, (size + 3) / 4, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto four = normals(seed, uint64_t(block));
      for (int64_t i = 0; i < 4 && block * 4 + i < size; ++i) out[block * 4 + i] = float(four[i] * range);
    }
  });
  tensor.detach().copy_(values);
}

}  // namespace hone
