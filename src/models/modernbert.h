// ModernBERT (Warner et al. 2024, https://arxiv.org/abs/2412.13663): rotary positions, most layers
// see their neighbourhood alone, norms before each part, gated feed-forward, no biases.
#pragma once

#include "models/backbone.h"

namespace hone::modernbert {

ModelConfig read_config(const Json& config);

}  // namespace hone::modernbert
