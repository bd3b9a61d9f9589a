// Embedding lookup whose gradient touches only the rows that were looked up.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

// table [V, H] fp32, ids [N] int64 -> [N, H] fp32. The gradient of `table` is dense in shape but written row-sparse: rows are summed in a
// fixed order (sorted ids), so it does not depend on threads.
at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids);

}  // namespace hone::kernels
