#include "models/distilbert.h"

#include <fmt/format.h>

#include "models/config_fields.h"
#include "models/encoder_backbone.h"

namespace hone::distilbert {
namespace {

constexpr double kNormEps = 1e-12;  // fixed in the reference

const BlockNames kDistilBertNames{
    .attention = "attention",
    .products = {.query = "q_lin", .key = "k_lin", .value = "v_lin", .out = "out_lin"},
    .attention_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .out_norm = "output_layer_norm",
};

EncoderPlan read_plan(const Json& config) {
  const double dropout = dropout_field(config, "dropout", 0.1);
  const int64_t hidden = count_field(config, "dim", 768),
                words = count_field(config, "vocab_size", 30522);
  EncoderPlan plan;
  plan.embeddings = {.words = words,
                     .width = hidden,
                     .padding = padding_field(config, words, 0),
                     .positions = count_field(config, "max_position_embeddings", 512),
                     .norm_eps = kNormEps,
                     .dropout = dropout};
  plan.layers = count_field(config, "n_layers", 6);
  plan.block_name = [](int64_t layer) { return fmt::format("transformer.layer.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "hidden_dim", 4 * 768),
      .heads = heads_field(config, "n_heads", 12, "dim", hidden),
      .activation = activation_field(config, "activation", "gelu"),
      .norm_eps = kNormEps,
      .dropout = {.attention = dropout_field(config, "attention_dropout", 0.1),
                  .attention_out = dropout,
                  .feed_forward_out = dropout},
      .names = kDistilBertNames,
  };
  return plan;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  const EncoderPlan plan = read_plan(config);
  ModelConfig out = plan.described(config);
  out.base_prefix = "distilbert";
  out.architecture_stem = "DistilBert";
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_head.dropout = plan.embeddings.dropout;
  out.sentence_head = {.dense = "pre_classifier",
                       .activation = kernels::Activation::kRelu,
                       .dropout = dropout_field(config, "seq_classif_dropout", 0.2)};
  out.masked_lm = {.dense = "vocab_transform",
                   .norm = "vocab_layer_norm",
                   .bias = "vocab_projector.bias",
                   .width = plan.embeddings.width,
                   .activation = plan.block.activation,
                   .norm_eps = kNormEps};
  return out;
}

}  // namespace hone::distilbert
