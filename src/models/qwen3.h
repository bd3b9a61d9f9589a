// Qwen 3 (Yang et al. 2025, https://arxiv.org/abs/2505.09388): Llama with norms of each head's
// queries and keys, and a head dimension of its own.
#pragma once

#include "models/backbone.h"

namespace hone::qwen3 {

ModelConfig read_config(const Json& config);

}  // namespace hone::qwen3
