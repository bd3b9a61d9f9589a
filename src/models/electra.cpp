#include "models/electra.h"

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::electra {

ModelConfig read_config(const Json& config) {
  // ELECTRA's own defaults are those of its small model.
  EncoderPlan plan = bert::read_plan(config, {.hidden = 256, .heads = 4, .intermediate = 1024});
  plan.embeddings.width = count_field(config, "embedding_size", 128);
  if (plan.embeddings.width != plan.block.hidden) plan.projection = "embeddings_project";
  ModelConfig out = bert::described(config, plan);
  out.base_prefix = "electra";
  out.architecture_stem = "Electra";
  out.sentence_head.dense = "classifier.dense";
  out.sentence_head.activation = kernels::Activation::kGelu;
  out.sentence_head.out = "classifier.out_proj";
  out.sentence_head.dropout_before_dense = out.sentence_head.dropout;
  out.masked_lm = {.dense = "generator_predictions.dense",
                   .norm = "generator_predictions.LayerNorm",
                   .bias = "generator_lm_head.bias",
                   .width = plan.embeddings.width,
                   .norm_eps = plan.block.norm_eps};
  return out;
}

}  // namespace hone::electra
