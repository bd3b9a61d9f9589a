// Gemma 2 (Riviere et al. 2024, https://arxiv.org/abs/2408.00118): Llama with norms after each part
// too, soft caps of scores and logits, a window in every other layer, scaled embeddings.
#pragma once

#include "models/backbone.h"

namespace hone::gemma2 {

ModelConfig read_config(const Json& config);

}  // namespace hone::gemma2
