// Initial values of weights that no checkpoint brings.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hone {

// Zeros, fp32. A large table is memory that the system clears page by page when it is first touched, in large pages where it has them: a
// weight that a checkpoint fills at once is not written twice.
at::Tensor lazy_zeros(const std::vector<int64_t>& shape);

// Fills with normal(0, range); element i is a pure function of (seed, i).
void fill_normal(const at::Tensor& tensor, double range, uint64_t seed);

}  // namespace hone
