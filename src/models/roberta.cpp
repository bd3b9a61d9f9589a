#include "models/roberta.h"

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::roberta {
namespace {

constexpr int64_t kPadding = 1;

}  // namespace

ModelConfig read_config_of(const Json& config, const char* architecture_stem, int64_t words) {
  EncoderPlan plan = bert::read_plan(config, {.words = words, .padding = kPadding});
  plan.embeddings.position_offset = count_field(config, "pad_token_id", kPadding, 0) + 1;
  plan.embeddings.ignores_segments = true;
  ModelConfig out = bert::described(config, plan);
  out.base_prefix = "roberta";
  out.architecture_stem = architecture_stem;
  out.sentence_head.dense = "classifier.dense";
  out.sentence_head.activation = kernels::Activation::kTanh;
  out.sentence_head.out = "classifier.out_proj";
  out.sentence_head.dropout_before_dense = out.sentence_head.dropout;
  out.choice_head = {.uses_pooler = true, .dropout = plan.embeddings.dropout};
  out.masked_lm = language_head(plan);
  return out;
}

MaskedLmStyle language_head(const EncoderPlan& plan) {
  return {.dense = "lm_head.dense",
          .norm = "lm_head.layer_norm",
          .bias = "lm_head.bias",
          .width = plan.embeddings.width,
          .norm_eps = plan.block.norm_eps};
}

ModelConfig read_config(const Json& config) { return read_config_of(config, "Roberta", 50265); }

}  // namespace hone::roberta
