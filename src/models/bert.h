// BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), which MiniLM and many sentence
// encoders are too.
#pragma once

#include "models/backbone.h"
#include "models/encoder_backbone.h"

namespace hone::bert {

ModelConfig read_config(const Json& config);
std::shared_ptr<Backbone> make(const ModelConfig& config);

// What config.json and checkpoints of BERT's direct descendants (RoBERTa, ELECTRA) have in common
// with BERT's.
ModelConfig read_common(const Json& config);
EncoderPlan common_plan(const ModelConfig& config);

}  // namespace hone::bert
