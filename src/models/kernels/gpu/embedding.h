// The sum of rows of several tables on a GPU, in one pass.
#pragma once

#include <vector>

#include "models/kernels/embedding.h"
#include "models/kernels/gpu/launcher.h"

namespace hone::kernels::gpu {

// As kernels::embedding_sum has it. The gradient of a table is dense in shape; written are the rows
// that were looked up, in a fixed order.
at::Tensor embedding_sum(const Launcher& on, const std::vector<LookedUp>& tables, int64_t tokens,
                         double scale);

}  // namespace hone::kernels::gpu
