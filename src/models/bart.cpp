#include "models/bart.h"

#include <fmt/format.h>

#include <cmath>

#include "models/config_fields.h"

namespace hone::bart {
namespace {

constexpr const char* kShared = "shared";

const AttentionNames kProducts{
    .query = "q_proj", .key = "k_proj", .value = "v_proj", .out = "out_proj"};

const BlockNames kBartNames{
    .attention = "self_attn",
    .products = kProducts,
    .attention_norm = "self_attn_layer_norm",
    .up = "fc1",
    .down = "fc2",
    .out_norm = "final_layer_norm",
};

TokenEmbeddingsOptions read_embeddings(const Json& config, const Family& family, int64_t hidden) {
  const bool is_scaled = flag_field(config, "scale_embedding", false);
  const int64_t words = count_field(config, "vocab_size", family.words);
  return {.words = words,
          .width = hidden,
          .padding = padding_field(config, words, family.padding),
          .positions = count_field(config, "max_position_embeddings", family.positions) +
                       family.reserved_positions,
          .position_offset = family.reserved_positions,
          .norm_eps = 1e-5,
          .dropout = dropout_field(config, "dropout", family.dropout),
          .scale = is_scaled ? std::sqrt(double(hidden)) : 1,
          .names = {.words = "embed_tokens",
                    .positions = "embed_positions",
                    .norm = family.has_embedding_norm ? "layernorm_embedding" : ""},
          .has_sinusoids = family.has_sinusoids};
}

// `side`: "encoder" or "decoder", which its keys and names begin with.
EncoderPlan read_side(const Json& config, const Family& family, const std::string& side) {
  const int64_t hidden = count_field(config, "d_model", family.hidden);
  const double dropout = dropout_field(config, "dropout", family.dropout);
  EncoderPlan plan;
  plan.embeddings = read_embeddings(config, family, hidden);
  plan.embeddings_name = side;
  plan.layers = count_field(config, side + "_layers", family.layers);
  plan.block_name = [side](int64_t layer) { return fmt::format("{}.layers.{}", side, layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, side + "_ffn_dim", family.intermediate),
      .heads = heads_field(config, side + "_attention_heads", family.heads, "d_model", hidden),
      .activation = activation_field(config, "activation_function", family.activation),
      .norm_eps = 1e-5,
      .dropout = {.attention = dropout_field(config, "attention_dropout", 0),
                  .attention_out = dropout,
                  .feed_forward_out = dropout,
                  .feed_forward_inner = dropout_field(config, "activation_dropout", 0)},
      .norm_first = family.norm_first,
      .names = kBartNames,
  };
  if (family.norm_first) plan.final_norm = side + ".layer_norm";
  return plan;
}

}  // namespace

EncoderDecoderPlan read_plan(const Json& config, const Family& family) {
  EncoderDecoderPlan plan;
  plan.encoder = read_side(config, family, "encoder");
  plan.decoder = read_side(config, family, "decoder");
  plan.decoder.block.is_causal = true;
  plan.decoder.block.names.cross_attention = "encoder_attn";
  plan.decoder.block.names.cross_norm = "encoder_attn_layer_norm";
  plan.decoder.block.names.cross_products = kProducts;
  plan.shared_words = kShared;
  return plan;
}

void separate_words(EncoderDecoderPlan& plan, int64_t source, int64_t target) {
  plan.shared_words.clear();
  plan.encoder.embeddings.words = source;
  plan.decoder.embeddings.words = target;
}

ModelConfig described(const Json& config, const EncoderDecoderPlan& plan, const Family& family) {
  ModelConfig out = plan.described(config);
  out.base_prefix = "model";
  out.architecture_stem = family.architecture_stem;
  out.initializer_range = number_field(config, "init_std", 0.02);
  if (family.has_sinusoids) out.computed = {"embed_positions.weight"};
  if (out.encoder_decoder->start < 0) out.encoder_decoder->start = family.start;
  if (out.encoder_decoder->end < 0) out.encoder_decoder->end = family.end;
  const bool is_shared = !plan.shared_words.empty();
  CausalLmStyle style{.out = "lm_head",
                      .is_tied = flag_field(config, "tie_word_embeddings", true),
                      .table = is_shared ? kShared : "decoder.embed_tokens",
                      .architecture_end = "ForConditionalGeneration",
                      .bias = "final_logits_bias"};
  if (is_shared) style.copies = {"encoder.embed_tokens", "decoder.embed_tokens"};
  out.causal_lm = style;
  return out;
}

ModelConfig read_config(const Json& config) {
  const Family family{.reserved_positions = 2, .start = 2};
  return described(config, read_plan(config, family), family);
}

}  // namespace hone::bart
