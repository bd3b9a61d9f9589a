// Marian's Transformer (Junczys-Dowmunt et al. 2018, https://arxiv.org/abs/1804.00344), which the
// models of OPUS-MT are: BART with positions by a formula and without a norm of the embeddings; the
// two sides may have tables of words of their own.
#pragma once

#include "models/backbone.h"

namespace hone::marian {

ModelConfig read_config(const Json& config);

}  // namespace hone::marian
