// Attention composed of ATen operations over all sequences at once, padded to the longest: for a
// GPU, where a loop over sequences would wait for launches, and no kernel takes these inputs.
#pragma once

#include "models/kernels/attention.h"

namespace hone::kernels {

// As attention(). On a GPU dropout's decisions are its generator's. Memory: scores of all pairs,
// fp32 [sequences, heads, longest, longest], for each step of the computation that backward needs.
at::Tensor attention_padded(const AttentionInputs& inputs, const AttentionOptions& options);

}  // namespace hone::kernels
