#include "models/gpt2.h"

#include <fmt/format.h>

#include <cmath>

#include "models/config_fields.h"
#include "models/encoder_backbone.h"

namespace hone::gpt2 {
namespace {

const BlockNames kGpt2Names{
    .attention = "attn",
    .products = {.joined = "c_attn", .out = "c_proj"},
    .attention_norm = "ln_1",
    .up = "mlp.c_fc",
    .down = "mlp.c_proj",
    .out_norm = "ln_2",
};

void refuse_cross_attention(const Json& config) {
  constexpr const char* kKey = "add_cross_attention";
  if (flag_field(config, kKey, false))
    throw ConfigDefect(
        kKey,
        fmt::format("\"{}\" is true, but only models of one stream are supported here.", kKey));
}

// Scores may be left unscaled, or divided once more by the layer's number.
void read_scale(const Json& config, EncoderPlan& plan) {
  const bool is_scaled = flag_field(config, "scale_attn_weights", true);
  const double scale = is_scaled ? 1 / std::sqrt(double(plan.block.heads.dim)) : 1;
  plan.block.attention_scale = scale;
  if (!flag_field(config, "scale_attn_by_inverse_layer_idx", false)) return;
  plan.vary = [scale](int64_t layer, BlockOptions& block) {
    block.attention_scale = scale / double(layer + 1);
  };
}

EncoderPlan read_plan(const Json& config) {
  refuse_cross_attention(config);
  const int64_t hidden = count_field(config, "n_embd", 768);
  const double dropout = dropout_field(config, "resid_pdrop", 0.1);
  EncoderPlan plan;
  plan.embeddings = {.words = count_field(config, "vocab_size", 50257),
                     .width = hidden,
                     .positions = count_field(config, "n_positions", 1024),
                     .dropout = dropout_field(config, "embd_pdrop", 0.1),
                     .names = {.words = "wte", .positions = "wpe", .norm = ""}};
  plan.embeddings_name = "";
  plan.layers = count_field(config, "n_layer", 12);
  plan.block_name = [](int64_t layer) { return fmt::format("h.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "n_inner", 4 * hidden),
      .heads = heads_field(config, "n_head", 12, "n_embd", hidden),
      .activation = activation_field(config, "activation_function", "gelu_new"),
      .norm_eps = number_field(config, "layer_norm_epsilon", 1e-5),
      .dropout = {.attention = dropout_field(config, "attn_pdrop", 0.1),
                  .attention_out = dropout,
                  .feed_forward_out = dropout},
      .norm_first = true,
      .is_causal = true,
      .names = kGpt2Names,
  };
  plan.final_norm = "ln_f";
  return plan;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  EncoderPlan plan = read_plan(config);
  read_scale(config, plan);
  ModelConfig out = plan.described(config);
  out.base_prefix = "transformer";
  out.architecture_stem = "GPT2";
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.sentence_head = {.takes_last = true, .out = "score", .out_has_bias = false, .dropout = 0};
  out.token_head.dropout =
      dropout_field(config, "classifier_dropout", dropout_field(config, "hidden_dropout", 0.1));
  out.causal_lm = {.out = "lm_head",
                   .is_tied = flag_field(config, "tie_word_embeddings", true),
                   .table = plan.embeddings.names.words,
                   .architecture_end = "LMHeadModel"};
  // Its products are the reference's Conv1D: [in, out].
  out.transposed = {".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight",
                    ".mlp.c_proj.weight"};
  return out;
}

}  // namespace hone::gpt2
