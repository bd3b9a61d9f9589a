// Phi 3 and 4 mini (Abdin et al. 2024, https://arxiv.org/abs/2404.14219): Llama with joined
// products, dropout, and rotary positions of a part of each head.
#pragma once

#include "models/backbone.h"

namespace hone::phi3 {

ModelConfig read_config(const Json& config);

}  // namespace hone::phi3
