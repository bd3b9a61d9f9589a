// CamemBERT (Martin et al. 2020, https://arxiv.org/abs/1911.03894): RoBERTa of French.
#pragma once

#include "models/backbone.h"

namespace hone::camembert {

ModelConfig read_config(const Json& config);

}  // namespace hone::camembert
