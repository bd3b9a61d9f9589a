// ELECTRA's discriminator (Clark et al. 2020, https://arxiv.org/abs/2003.10555): BERT without a
// pooler; small ones project their embeddings.
#pragma once

#include "models/backbone.h"

namespace hone::electra {

ModelConfig read_config(const Json& config);

}  // namespace hone::electra
