#include "models/modernbert.h"

#include <fmt/format.h>

#include "models/config_fields.h"
#include "models/encoder_backbone.h"

namespace hone::modernbert {
namespace {

const BlockNames kModernBertNames{
    .attention = "attn",
    .products = {.joined = "Wqkv", .out = "Wo"},
    .attention_norm = "attn_norm",
    .up = "mlp.Wi",
    .down = "mlp.Wo",
    .out_norm = "mlp_norm",
};

constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

// Which layers see a window alone: "layer_types", or in older files all but every n-th.
IsSliding sliding_layers(const Json& config, int64_t layers) {
  const int64_t every = count_field(config, "global_attn_every_n_layers", 3);
  return sliding_layers_field(config, layers,
                              [every](int64_t layer) { return layer % every != 0; });
}

void refuse_scaled_positions(const Json& parameters) {
  for (const char* key : {"rope_type", "type"}) {
    const std::string type = text_field(parameters, key, "default");
    if (type != "default")
      throw ConfigDefect(
          key, fmt::format("\"{}\" \"{}\" is not supported; only \"default\" is.", key, type));
  }
}

// The base of a layer type's rotary positions, in the place of newer files or of older ones.
double theta_of(const Json& config, const char* type, const char* old_key, double fallback) {
  const Json own = object_field(object_field(config, "rope_parameters"), type);
  refuse_scaled_positions(own);
  const double theta = number_field(own, "rope_theta", number_field(config, old_key, fallback));
  if (theta == 0) throw ConfigDefect("rope_theta", "a base of rotary positions should be above 0.");
  return theta;
}

// The layers' windows and angles, and the norm that the first of them does without.
void vary_layers(const Json& config, EncoderPlan& plan) {
  refuse_scaled_positions(object_field(config, "rope_scaling"));
  const int64_t window = count_field(config, "local_attention", 128, 2) / 2;
  plan.block.rotary = {.theta = theta_of(config, kFull, "global_rope_theta", 160000),
                       .columns = plan.block.heads.dim};
  plan.vary = [window, is_sliding = sliding_layers(config, plan.layers),
               theta = theta_of(config, kSliding, "local_rope_theta", 10000)](int64_t layer,
                                                                              BlockOptions& block) {
    block.has_attention_norm = layer > 0;
    if (!is_sliding(layer)) return;
    block.window = window;
    block.rotary.theta = theta;
  };
}

EncoderPlan read_plan(const Json& config) {
  const int64_t hidden = count_field(config, "hidden_size", 768),
                words = count_field(config, "vocab_size", 50368);
  const double norm_eps = number_field(config, "norm_eps", 1e-5),
               attention_dropout = dropout_field(config, "attention_dropout", 0);
  const NormKind norm_kind =
      flag_field(config, "norm_bias", false) ? NormKind::kLayer : NormKind::kLayerWithoutBias;
  EncoderPlan plan;
  plan.embeddings = {.words = words,
                     .width = hidden,
                     .padding = padding_field(config, words, 50283),
                     .norm_eps = norm_eps,
                     .dropout = dropout_field(config, "embedding_dropout", 0),
                     .norm_kind = norm_kind,
                     .names = {.words = "tok_embeddings", .norm = "norm"}};
  plan.layers = count_field(config, "num_hidden_layers", 22);
  plan.block_name = [](int64_t layer) { return fmt::format("layers.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "intermediate_size", 1152),
      .heads = heads_field(config, "num_attention_heads", 12, "hidden_size", hidden),
      .activation = activation_field(config, "hidden_activation", "gelu"),
      .is_gated = true,
      .attention_has_bias = flag_field(config, "attention_bias", false),
      .feed_forward_has_bias = flag_field(config, "mlp_bias", false),
      .norm_kind = norm_kind,
      .norm_eps = norm_eps,
      .dropout = {.attention = attention_dropout,
                  .attention_out = attention_dropout,
                  .feed_forward_inner = dropout_field(config, "mlp_dropout", 0)},
      .norm_first = true,
      .names = kModernBertNames,
  };
  plan.final_norm = "final_norm";
  return plan;
}

HeadStyle read_head(const Json& config, const EncoderPlan& plan) {
  return {.dense = "head.dense",
          .dense_has_bias = flag_field(config, "classifier_bias", false),
          .activation = activation_field(config, "classifier_activation", "gelu"),
          .norm = "head.norm",
          .norm_kind = plan.block.norm_kind,
          .norm_eps = plan.block.norm_eps,
          .goes_on_from_pretraining = true,
          .dropout = dropout_field(config, "classifier_dropout", 0)};
}

bool averages(const Json& config) {
  const std::string pooling = text_field(config, "classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean")
    throw ConfigDefect("classifier_pooling",
                       fmt::format("\"classifier_pooling\" should be \"cls\" or \"mean\", not "
                                   "\"{}\".",
                                   pooling));
  return pooling == "mean";
}

}  // namespace

ModelConfig read_config(const Json& config) {
  EncoderPlan plan = read_plan(config);
  vary_layers(config, plan);
  ModelConfig out = plan.described(config);
  out.base_prefix = "model";
  out.architecture_stem = "ModernBert";
  out.max_positions = count_field(config, "max_position_embeddings", 8192);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_head = out.sentence_head = read_head(config, plan);
  out.sentence_head.averages = averages(config);
  out.masked_lm = {.dense = out.token_head.dense,
                   .norm = out.token_head.norm,
                   .bias = flag_field(config, "decoder_bias", true) ? "decoder.bias" : "",
                   .width = plan.embeddings.width,
                   .dense_has_bias = out.token_head.dense_has_bias,
                   .activation = out.token_head.activation,
                   .norm_kind = out.token_head.norm_kind,
                   .norm_eps = out.token_head.norm_eps};
  return out;
}

}  // namespace hone::modernbert
