#pragma once

#include "models/kernels/gpu/launcher.h"

namespace hone::kernels::gpu {

// The sum of the lines of partial [lines, columns] fp32, one after the other in a fixed order.
at::Tensor sum_lines(const Launcher& on, const at::Tensor& partial);

}  // namespace hone::kernels::gpu
