// Initial values of weights that no checkpoint brings.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone {

// Fills with normal(0, range); element i is a pure function of (seed, i).
void fill_normal(const at::Tensor& tensor, double range, uint64_t seed);
// The same with values even between -range and range.
void fill_uniform(const at::Tensor& tensor, double range, uint64_t seed);

}  // namespace hone
