#include "models/marian.h"

#include "models/bart.h"
#include "models/config_fields.h"

namespace hone::marian {

ModelConfig read_config(const Json& config) {
  const bart::Family family{.architecture_stem = "Marian",
                            .words = 58101,
                            .padding = 58100,
                            .has_embedding_norm = false,
                            .has_sinusoids = true,
                            .start = 58100,
                            .end = 0};
  EncoderDecoderPlan plan = bart::read_plan(config, family);
  if (!flag_field(config, "share_encoder_decoder_embeddings", true)) {
    const int64_t source = plan.encoder.embeddings.words;
    bart::separate_words(plan, source, count_field(config, "decoder_vocab_size", source));
  }
  ModelConfig out = bart::described(config, plan, family);
  out.causal_lm->architecture_end = "MTModel";
  return out;
}

}  // namespace hone::marian
