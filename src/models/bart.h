// BART (Lewis et al. 2019, https://arxiv.org/abs/1910.13461) and what its relatives (mBART, Marian,
// Pegasus, the text side of Whisper) have in common with it: two stacks of blocks with biases,
// whose decoder reads the encoder's states.
#pragma once

#include "models/backbone.h"
#include "models/encoder_decoder.h"

namespace hone::bart {

ModelConfig read_config(const Json& config);

// A family's documented defaults of config.json, and its form.
struct Family {
  const char* architecture_stem = "Bart";
  int64_t words = 50265, hidden = 1024, layers = 12, heads = 16, intermediate = 4096;
  int64_t positions = 1024;
  int64_t padding = 1;             // "pad_token_id" where it is absent
  int64_t reserved_positions = 0;  // rows of the table of positions before the first one's
  const char* activation = "gelu";
  double dropout = 0.1;
  bool norm_first = false;         // and norms after each stack
  bool has_embedding_norm = true;  // "layernorm_embedding"
  bool has_sinusoids = false;      // positions by a formula
  int64_t start = -1, end = 2;     // tokens that a target begins and ends with; -1: none
};

// Both sides, which read one table of words ("shared").
EncoderDecoderPlan read_plan(const Json& config, const Family& family);
// Gives each side a table of its own, of so many words.
void separate_words(EncoderDecoderPlan& plan, int64_t source, int64_t target);
// The facts of such a plan.
ModelConfig described(const Json& config, const EncoderDecoderPlan& plan, const Family& family);

}  // namespace hone::bart
