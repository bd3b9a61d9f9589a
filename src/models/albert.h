// ALBERT (Lan et al. 2020, https://arxiv.org/abs/1909.11942): BERT whose layers share one block, or
// a few, and whose embeddings are narrow.
#pragma once

#include "models/backbone.h"

namespace hone::albert {

ModelConfig read_config(const Json& config);

}  // namespace hone::albert
