#include "models/distilbert.h"

#include <fmt/format.h>

#include "models/config_fields.h"
#include "models/encoder_backbone.h"

namespace hone::distilbert {
namespace {

constexpr double kNormEps = 1e-12;  // fixed in the reference

const EncoderNames kDistilBertNames{
    .attention = "attention",
    .products = {.query = "q_lin", .key = "k_lin", .value = "v_lin", .out = "out_lin"},
    .attention_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .out_norm = "output_layer_norm",
};

}  // namespace

ModelConfig read_config(const Json& config) {
  ModelConfig out;
  out.raw = config;
  out.base_prefix = "distilbert";
  out.architecture_stem = "DistilBert";
  out.hidden_size = count_field(config, "dim", 768);
  out.num_layers = count_field(config, "n_layers", 6);
  out.num_heads = count_field(config, "n_heads", 12);
  out.intermediate_size = count_field(config, "hidden_dim", 4 * 768);
  out.vocab_size = count_field(config, "vocab_size", 30522);
  out.max_positions = count_field(config, "max_position_embeddings", 512);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_dropout = dropout_field(config, "dropout", 0.1);
  out.sentence_head = {.dense = "pre_classifier",
                       .activation = "relu",
                       .dropout = dropout_field(config, "seq_classif_dropout", 0.2)};
  activation_field(config, "activation", "gelu");
  if (out.hidden_size % out.num_heads != 0) {
    throw ConfigDefect("n_heads", fmt::format("\"dim\" {} is not a multiple of \"n_heads\" {}.",
                                              out.hidden_size, out.num_heads));
  }
  return out;
}

std::shared_ptr<Backbone> make(const ModelConfig& config) {
  const double dropout = dropout_field(config.raw, "dropout", 0.1);
  EncoderPlan plan;
  plan.stack = "transformer";
  plan.embeddings = {.words = config.vocab_size,
                     .positions = config.max_positions,
                     .width = config.hidden_size,
                     .norm_eps = kNormEps,
                     .dropout = dropout};
  plan.blocks = {
      .layers = config.num_layers,
      .hidden = config.hidden_size,
      .heads = config.num_heads,
      .intermediate = config.intermediate_size,
      .activation = activation_field(config.raw, "activation", "gelu"),
      .norm_eps = kNormEps,
      .dropout = dropout,
      .attention_dropout = dropout_field(config.raw, "attention_dropout", 0.1),
      .names = kDistilBertNames,
  };
  return std::make_shared<EncoderBackbone>(config, plan);
}

}  // namespace hone::distilbert
