// Dropout whose decisions are a pure function of (seed, site, row key, column), the same on every
// device: nothing stored, backward recomputes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

struct DropoutOptions {
  double p = 0;  // 0: identity
  uint64_t seed = 0;
  uint32_t site = 0;
  at::Tensor keys;  // [rows] int64, needed where p > 0
  // [1] int64 where x is: what stands there when a kernel runs is the seed, in place of `seed`;
  // or undefined. A recorded pass is replayed so with other decisions.
  at::Tensor placed_seed = {};
  uint64_t drawn = 0;  // Packed::drawn, which attention takes over
};

// x [rows, columns] -> x * mask / (1 - p). Differentiable.
at::Tensor dropout(const at::Tensor& x, const DropoutOptions& options);
// The same composed of ATen operations, for any type and device.
at::Tensor dropout_reference(const at::Tensor& x, const DropoutOptions& options);
// The mask itself as fp32 0 or 1 / (1 - p), [rows, columns]: the definition.
at::Tensor dropout_mask(int64_t rows, int64_t columns, const DropoutOptions& options);

}  // namespace hone::kernels
