// Memory for the gradients of weights. They are of the same sizes at each step and live from one
// layer's backward pass to the optimizer's step, while activations around them come and go: on one
// heap with these they would leave holes that nothing fits.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

// fp32 on the CPU, [sizes], its values whatever they were. What a tensor of 1 MiB or more leaves is
// kept, and given to the next one of its size.
at::Tensor kept_empty(at::IntArrayRef sizes);
// Gives back what no tensor uses.
void release_kept_memory();

}  // namespace hone::kernels
