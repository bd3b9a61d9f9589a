// GPT-2 (Radford et al. 2019,
// https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf):
// learned positions, norms before each part, causal attention.
#pragma once

#include "models/backbone.h"

namespace hone::gpt2 {

ModelConfig read_config(const Json& config);

}  // namespace hone::gpt2
