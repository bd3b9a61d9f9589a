// Pegasus (Zhang et al. 2019, https://arxiv.org/abs/1912.08777): mBART with positions by a formula
// and no norm of the embeddings.
#pragma once

#include "models/backbone.h"

namespace hone::pegasus {

ModelConfig read_config(const Json& config);

}  // namespace hone::pegasus
