#include "models/bert.h"

#include <fmt/format.h>

#include "models/config_fields.h"

namespace hone::bert {
namespace {

const BlockNames kBertNames{
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

EncoderPlan read_plan(const Json& config, const Defaults& defaults) {
  refuse_variants(config);
  const double norm_eps = number_field(config, "layer_norm_eps", 1e-12),
               dropout = dropout_field(config, "hidden_dropout_prob", defaults.dropout);
  const int64_t hidden = count_field(config, "hidden_size", defaults.hidden),
                words = count_field(config, "vocab_size", defaults.words);
  EncoderPlan plan;
  plan.embeddings = {
      .words = words,
      .width = hidden,
      .padding = padding_field(config, words, defaults.padding),
      .positions = count_field(config, "max_position_embeddings", 512),
      .segments = count_field(config, "type_vocab_size", 2),
      .norm_eps = norm_eps,
      .dropout = dropout,
  };
  plan.layers = count_field(config, "num_hidden_layers", 12);
  plan.block_name = [](int64_t layer) { return fmt::format("encoder.layer.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "intermediate_size", defaults.intermediate),
      .heads = heads_field(config, "num_attention_heads", defaults.heads, "hidden_size", hidden),
      .activation = activation_field(config, "hidden_act", defaults.activation),
      .norm_eps = norm_eps,
      .dropout = {.attention =
                      dropout_field(config, "attention_probs_dropout_prob", defaults.dropout),
                  .attention_out = dropout,
                  .feed_forward_out = dropout},
      .names = kBertNames,
  };
  return plan;
}

ModelConfig described(const Json& config, const EncoderPlan& plan) {
  ModelConfig out = plan.described(config);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_head.dropout = dropout_field(config, "classifier_dropout", plan.embeddings.dropout);
  out.sentence_head.dropout = out.token_head.dropout;
  return out;
}

MaskedLmStyle masked_lm(const EncoderPlan& plan, const std::string& name) {
  return {.dense = name + ".transform.dense",
          .norm = name + ".transform.LayerNorm",
          .bias = name + ".bias",
          .width = plan.embeddings.width,
          .activation = plan.block.activation,
          .norm_eps = plan.block.norm_eps};
}

ModelConfig read_config(const Json& config) {
  const EncoderPlan plan = read_plan(config);
  ModelConfig out = described(config, plan);
  out.base_prefix = "bert";
  out.architecture_stem = "Bert";
  out.sentence_head.uses_pooler = true;
  out.masked_lm = masked_lm(plan);
  return out;
}

}  // namespace hone::bert
