// DeBERTa-v2 and DeBERTa-v3 (He et al. 2020, https://arxiv.org/abs/2006.03654; He et al. 2021,
// https://arxiv.org/abs/2111.09543), which differ in how they were trained alone.
#pragma once

#include "models/backbone.h"

namespace hone::deberta_v2 {

ModelConfig read_config(const Json& config);

}  // namespace hone::deberta_v2
