// RoBERTa (Liu et al. 2019, https://arxiv.org/abs/1907.11692): BERT without segments, positions
// counted from padding_idx + 1.
#pragma once

#include "models/backbone.h"

namespace hone::roberta {

ModelConfig read_config(const Json& config);

}  // namespace hone::roberta
