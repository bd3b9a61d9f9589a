// BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), which MiniLM and many sentence
// encoders are too.
#pragma once

#include "models/backbone.h"
#include "models/encoder_backbone.h"

namespace hone::bert {

ModelConfig read_config(const Json& config);

// What config.json and checkpoints of BERT's direct descendants (RoBERTa, ELECTRA, ALBERT, ERNIE)
// have in common with BERT's, and each family's own defaults.
struct Defaults {
  int64_t words = 30522, hidden = 768, heads = 12, intermediate = 3072;
  const char* activation = "gelu";
  double dropout = 0.1;
  int64_t padding = 0;
};
EncoderPlan read_plan(const Json& config, const Defaults& defaults = {});
// The head of pre-training as BERT has it, below `name`.
MaskedLmStyle masked_lm(const EncoderPlan& plan, const std::string& name = "cls.predictions");
// The facts of such a plan; names and the sentence head's form are the family's.
ModelConfig described(const Json& config, const EncoderPlan& plan);

}  // namespace hone::bert
