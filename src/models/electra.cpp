#include "models/electra.h"

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::electra {
namespace {

// ELECTRA's own defaults are those of its small model.
Json with_defaults(const Json& config) {
  Json full = config;
  const std::pair<const char*, int64_t> defaults[] = {{"hidden_size", 256},
                                                      {"num_attention_heads", 4},
                                                      {"intermediate_size", 1024},
                                                      {"embedding_size", 128}};
  for (const auto& [key, value] : defaults) {
    if (!full.contains(key) || full[key].is_null()) full[key] = value;
  }
  return full;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  ModelConfig out = bert::read_common(with_defaults(config));
  out.raw = config;
  out.base_prefix = "electra";
  out.architecture_stem = "Electra";
  out.sentence_head.dense = "classifier.dense";
  out.sentence_head.activation = "gelu";
  out.sentence_head.out = "classifier.out_proj";
  out.sentence_head.dropout_before_dense = true;
  return out;
}

std::shared_ptr<Backbone> make(const ModelConfig& config) {
  EncoderPlan plan = bert::common_plan(config);
  plan.embeddings.width = count_field(config.raw, "embedding_size", 128);
  return std::make_shared<EncoderBackbone>(config, plan);
}

}  // namespace hone::electra
