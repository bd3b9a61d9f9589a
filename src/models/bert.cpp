#include "models/bert.h"

#include <fmt/format.h>

#include "models/config_fields.h"

namespace hone::bert {
namespace {

const EncoderNames kBertNames{
    .attention = "attention",
    .products = {.query = "self.query",
                 .key = "self.key",
                 .value = "self.value",
                 .out = "output.dense"},
    .attention_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .out_norm = "output.LayerNorm",
};

void refuse_variants(const Json& config) {
  const std::string positions = text_field(config, "position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw ConfigDefect(
        "position_embedding_type",
        fmt::format("\"position_embedding_type\" \"{}\" is not supported; only \"absolute\" is.",
                    positions));
  }
  for (const char* key : {"is_decoder", "add_cross_attention"}) {
    if (flag_field(config, key, false))
      throw ConfigDefect(key,
                         fmt::format("\"{}\" is true, but only encoders are supported here.", key));
  }
}

}  // namespace

ModelConfig read_common(const Json& config) {
  refuse_variants(config);
  ModelConfig out;
  out.raw = config;
  out.hidden_size = count_field(config, "hidden_size", 768);
  out.num_layers = count_field(config, "num_hidden_layers", 12);
  out.num_heads = count_field(config, "num_attention_heads", 12);
  out.intermediate_size = count_field(config, "intermediate_size", 3072);
  out.vocab_size = count_field(config, "vocab_size", 30522);
  out.max_positions = count_field(config, "max_position_embeddings", 512);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_dropout = dropout_field(config, "classifier_dropout",
                                    dropout_field(config, "hidden_dropout_prob", 0.1));
  out.sentence_head.dropout = out.token_dropout;
  activation_field(config, "hidden_act", "gelu");
  if (out.hidden_size % out.num_heads != 0) {
    throw ConfigDefect(
        "num_attention_heads",
        fmt::format("\"hidden_size\" {} is not a multiple of \"num_attention_heads\" {}.",
                    out.hidden_size, out.num_heads));
  }
  return out;
}

EncoderPlan common_plan(const ModelConfig& config) {
  const double norm_eps = number_field(config.raw, "layer_norm_eps", 1e-12),
               dropout = dropout_field(config.raw, "hidden_dropout_prob", 0.1);
  EncoderPlan plan;
  plan.embeddings = {
      .words = config.vocab_size,
      .positions = count_field(config.raw, "max_position_embeddings", 512),
      .segments = count_field(config.raw, "type_vocab_size", 2),
      .width = config.hidden_size,
      .norm_eps = norm_eps,
      .dropout = dropout,
  };
  plan.blocks = {
      .layers = config.num_layers,
      .hidden = config.hidden_size,
      .heads = config.num_heads,
      .intermediate = config.intermediate_size,
      .activation = activation_field(config.raw, "hidden_act", "gelu"),
      .norm_eps = norm_eps,
      .dropout = dropout,
      .attention_dropout = dropout_field(config.raw, "attention_probs_dropout_prob", 0.1),
      .names = kBertNames,
  };
  return plan;
}

ModelConfig read_config(const Json& config) {
  ModelConfig out = read_common(config);
  out.base_prefix = "bert";
  out.architecture_stem = "Bert";
  out.sentence_head.uses_pooler = true;
  return out;
}

std::shared_ptr<Backbone> make(const ModelConfig& config) {
  return std::make_shared<EncoderBackbone>(config, common_plan(config));
}

}  // namespace hone::bert
