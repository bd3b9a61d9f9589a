#include "models/electra.h"

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::electra {
namespace {

// What the reference calls a summary of the sequence: of its first token, as ELECTRA's own
// configurations say.
HeadStyle read_choice_head(const Json& config) {
  return {.averages = text_field(config, "summary_type", "first") == "mean",
          .dropout_before_dense = dropout_field(config, "summary_first_dropout", 0),
          .dense = flag_field(config, "summary_use_proj", true) ? "sequence_summary.summary" : "",
          .activation = activation_field(config, "summary_activation", "gelu"),
          .dropout = dropout_field(config, "summary_last_dropout", 0.1)};
}

}  // namespace

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
  out.choice_head = read_choice_head(config);
  out.masked_lm = {.dense = "generator_predictions.dense",
                   .norm = "generator_predictions.LayerNorm",
                   .bias = "generator_lm_head.bias",
                   .width = plan.embeddings.width,
                   .norm_eps = plan.block.norm_eps};
  return out;
}

}  // namespace hone::electra
