#include "models/layers/initialise.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

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
    const double radius = std::sqrt(-2 * std::log(uniform)),
                 angle = 2 * M_PI * (words[pair + 1] / 4294967296.0);
    out[pair] = float(radius * std::cos(angle));
    out[pair + 1] = float(radius * std::sin(angle));
  }
  return out;
}

// Four even between -1 and 1.
std::array<float, 4> uniforms(uint64_t seed, uint64_t counter) {
  const auto words = philox(seed, counter, 0);
  std::array<float, 4> out;
  for (size_t i = 0; i < 4; ++i) out[i] = float((words[i] + 0.5) / 2147483648.0 - 1);
  return out;
}

template <typename Draw>
void fill(const at::Tensor& tensor, double range, uint64_t seed, const Draw& draw) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
  float* const out = values.data_ptr<float>();
  const int64_t size = values.numel();
  at::parallel_for(0, (size + 3) / 4, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto four = draw(seed, uint64_t(block));
      for (int64_t i = 0; i < 4 && block * 4 + i < size; ++i)
        out[block * 4 + i] = float(four[size_t(i)] * range);
    }
  });
  tensor.detach().copy_(values);
}

}  // namespace

void fill_normal(const at::Tensor& tensor, double range, uint64_t seed) {
  fill(tensor, range, seed, normals);
}

void fill_uniform(const at::Tensor& tensor, double range, uint64_t seed) {
  fill(tensor, range, seed, uniforms);
}

}  // namespace hone
