// mBART (Liu et al. 2020, https://arxiv.org/abs/2001.08210): BART with norms before each part and
// after each stack. Its tokenizers have a token for each language.
#pragma once

#include "models/backbone.h"

namespace hone::mbart {

ModelConfig read_config(const Json& config);

}  // namespace hone::mbart
