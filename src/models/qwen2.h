// Qwen 2 and 2.5 (Yang et al. 2024, https://arxiv.org/abs/2407.10671): Llama with biases of
// queries, keys and values.
#pragma once

#include "models/backbone.h"

namespace hone::qwen2 {

ModelConfig read_config(const Json& config);

}  // namespace hone::qwen2
