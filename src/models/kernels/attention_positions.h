// The vectors of relative positions as attention's kernel reads them: packed once for all sequences
// of a pass, a place for each distance; and where their gradient is added up.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/kernels/attention_simd.h"

namespace hone::kernels {

class PositionOperands {
 public:
  PositionOperands() = default;  // of none
  // vectors [buckets, heads, dim]; buckets [places] int64: of each place, whose first is that of
  // the least distance; `zero`: the place of distance 0. The job says what the operands are of.
  PositionOperands(const at::Tensor& vectors, const at::Tensor& buckets, int64_t zero,
                   const AttentionJob& job, bool is_backward);

  // Makes room for the gradient, of each slot apart, so that the sums do not depend on threads.
  void add_gradient(int64_t slots);
  // The gradient of `vectors` in their type, times `factor`; undefined without room for it.
  at::Tensor gradient(double factor) const;

  PositionTable table() const;
  // How many slots a gradient may have without being larger than those of so many keys.
  static int64_t most_slots(int64_t places, int64_t keys);

 private:
  at::Tensor vectors_, buckets_;
  at::Tensor operand_, rows_;  // [heads, width, size]; [heads, size, width], for backward alone
  at::Tensor gradient_;        // [slots, heads, width, size] fp32
  int64_t zero_ = 0, size_ = 0;
};

}  // namespace hone::kernels
