// ERNIE 1.0 to 3.0 (Sun et al. 2020, https://arxiv.org/abs/1907.12412): BERT, in later versions
// with an embedding of the task that it was pre-trained on.
#pragma once

#include "models/backbone.h"

namespace hone::ernie {

ModelConfig read_config(const Json& config);

}  // namespace hone::ernie
