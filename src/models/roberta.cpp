#include "models/roberta.h"

#include <fmt/format.h>

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::roberta {
namespace {

int64_t position_offset(const Json& config) {
  return count_field(config, "pad_token_id", 1, 0) + 1;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  ModelConfig out = bert::read_common(config);
  out.base_prefix = "roberta";
  out.architecture_stem = "Roberta";
  out.vocab_size = count_field(config, "vocab_size", 50265);
  out.max_positions -= position_offset(config);
  if (out.max_positions < 1) {
    throw ConfigDefect(
        "max_position_embeddings",
        fmt::format("\"max_position_embeddings\" leaves no position after the {} reserved ones.",
                    position_offset(config)));
  }
  out.sentence_head.dense = "classifier.dense";
  out.sentence_head.activation = "tanh";
  out.sentence_head.out = "classifier.out_proj";
  out.sentence_head.dropout_before_dense = true;
  return out;
}

std::shared_ptr<Backbone> make(const ModelConfig& config) {
  EncoderPlan plan = bert::common_plan(config);
  plan.embeddings.position_offset = position_offset(config.raw);
  plan.embeddings.ignores_segments = true;
  return std::make_shared<EncoderBackbone>(config, plan);
}

}  // namespace hone::roberta
