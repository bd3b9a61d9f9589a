#include "models/whisper.h"

#include "models/bart.h"
#include "models/config_fields.h"

namespace hone::whisper {
namespace {

constexpr bart::Family kFamily{.architecture_stem = "Whisper",
                               .words = 51865,
                               .hidden = 384,
                               .layers = 4,
                               .heads = 6,
                               .intermediate = 1536,
                               .padding = 50256,
                               .dropout = 0,
                               .norm_first = true,
                               .has_embedding_norm = false,
                               .start = 50257,
                               .end = 50256};

// max_position_embeddings is called otherwise here.
EncoderDecoderPlan read_plan(const Json& config) {
  EncoderDecoderPlan plan = bart::read_plan(config, kFamily);
  plan.has_encoder = false;
  plan.shared_words.clear();
  plan.encoder.embeddings.positions = count_field(config, "max_source_positions", 1500);
  plan.decoder.embeddings.positions = count_field(config, "max_target_positions", 448);
  plan.decoder.block.attention_key_has_bias = false;
  return plan;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  ModelConfig out = bart::described(config, read_plan(config), kFamily);
  out.causal_lm->out = "proj_out";
  out.causal_lm->bias.clear();
  return out;
}

}  // namespace hone::whisper
