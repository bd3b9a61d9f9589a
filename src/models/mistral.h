// Mistral (Jiang et al. 2023, https://arxiv.org/abs/2310.06825): Llama with a window of attention.
#pragma once

#include "models/backbone.h"

namespace hone::mistral {

ModelConfig read_config(const Json& config);

}  // namespace hone::mistral
