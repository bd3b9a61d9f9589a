// T5 (Raffel et al. 2019, https://arxiv.org/abs/1910.10683), its version 1.1 with gated
// feed-forwards (Flan-T5 is one), and mT5 (Xue et al. 2020, https://arxiv.org/abs/2010.11934): no
// positions but a bias of self-attention by distance, RMS norms before each part, no bias, scores
// that are not scaled.
#pragma once

#include "models/backbone.h"

namespace hone::t5 {

ModelConfig read_config(const Json& config);
ModelConfig read_mt5_config(const Json& config);

}  // namespace hone::t5
