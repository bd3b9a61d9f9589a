// DistilBERT (Sanh et al. 2019, https://arxiv.org/abs/1910.01108): BERT's block under other names,
// without segments and pooler.
#pragma once

#include "models/backbone.h"

namespace hone::distilbert {

ModelConfig read_config(const Json& config);

}  // namespace hone::distilbert
