// XLM-RoBERTa (Conneau et al. 2020, https://arxiv.org/abs/1911.02116): RoBERTa of a hundred
// languages.
#pragma once

#include "models/backbone.h"

namespace hone::xlm_roberta {

ModelConfig read_config(const Json& config);

}  // namespace hone::xlm_roberta
