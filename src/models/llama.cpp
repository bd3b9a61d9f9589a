#include "models/llama.h"

#include <fmt/format.h>

namespace hone::llama {
namespace {

constexpr const char* kQueryHeads = "num_attention_heads";
constexpr const char* kKeyValueHeads = "num_key_value_heads";
constexpr const char* kPositions = "max_position_embeddings";
constexpr const char* kWindow = "sliding_window";

const BlockNames kLlamaNames{
    .attention = "self_attn",
    .products = {.query = "q_proj", .key = "k_proj", .value = "v_proj", .out = "o_proj"},
    .attention_norm = "input_layernorm",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
    .out_norm = "post_attention_layernorm",
    .gate = "mlp.gate_proj",
};

int64_t head_dim(const Json& config, const Family& family, int64_t hidden, int64_t heads) {
  const int64_t fallback = is_null_field(config, "head_dim") ? 0 : family.head_dim;
  if (const int64_t dim = count_field(config, "head_dim", fallback); dim > 0) return dim;
  return heads_field(config, kQueryHeads, heads, "hidden_size", hidden).dim;
}

Heads read_heads(const Json& config, const Family& family, int64_t hidden) {
  Heads heads;
  heads.query = count_field(config, kQueryHeads, family.heads);
  const bool is_shared = family.key_value_heads > 0 && !is_null_field(config, kKeyValueHeads);
  heads.key_value =
      count_field(config, kKeyValueHeads, is_shared ? family.key_value_heads : heads.query);
  heads.dim = head_dim(config, family, hidden, heads.query);
  if (heads.query % heads.key_value != 0)
    throw ConfigDefect(kKeyValueHeads,
                       fmt::format("\"{}\" {} is not a multiple of \"{}\" {}.", kQueryHeads,
                                   heads.query, kKeyValueHeads, heads.key_value));
  return heads;
}

int64_t read_positions(const Json& config, const Family& family) {
  return count_field(config, kPositions, family.positions);
}

// As Transformers' classifiers of tokens have it.
double token_head_dropout(const Json& config) {
  return dropout_field(config, "classifier_dropout", dropout_field(config, "hidden_dropout", 0.1));
}

// A layer that is said to see a window, where no window is.
void refuse_listed_windows(const Json& config, const IsSliding& is_sliding, int64_t layers) {
  constexpr const char* kListed = "layer_types";
  if (!is_sliding || !config.contains(kListed) || is_null_field(config, kListed)) return;
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (is_sliding(layer))
      throw ConfigDefect(kListed, fmt::format("\"{}\" names a window in layer {}, but \"{}\" says "
                                              "that there is none.",
                                              kListed, layer, kWindow));
  }
}

}  // namespace

EncoderPlan read_plan(const Json& config, const Family& family) {
  const int64_t hidden = count_field(config, "hidden_size", family.hidden),
                words = count_field(config, "vocab_size", family.words);
  const double norm_eps = number_field(config, "rms_norm_eps", family.norm_eps);
  EncoderPlan plan;
  plan.embeddings = {.words = words,
                     .width = hidden,
                     .padding = padding_field(config, words, family.padding),
                     .dropout = 0,
                     .names = {.words = "embed_tokens", .norm = ""}};
  plan.embeddings_name = "";
  plan.layers = count_field(config, "num_hidden_layers", family.layers);
  plan.block_name = [](int64_t layer) { return fmt::format("layers.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "intermediate_size", family.intermediate),
      .heads = read_heads(config, family, hidden),
      .activation = activation_field(config, family.activation_key, family.activation),
      .is_gated = true,
      .attention_has_bias = false,
      .feed_forward_has_bias = false,
      .norm_kind = NormKind::kRms,
      .norm_eps = norm_eps,
      .dropout = {.attention = dropout_field(config, "attention_dropout", 0)},
      .norm_first = true,
      .is_causal = true,
      .names = kLlamaNames,
  };
  plan.block.rotary =
      rotary_field(config, plan.block.heads.dim, read_positions(config, family), family.rotary);
  plan.final_norm = "norm";
  return plan;
}

ModelConfig described(const Json& config, const EncoderPlan& plan, const Family& family) {
  ModelConfig out = plan.described(config);
  out.base_prefix = "model";
  out.architecture_stem = family.architecture_stem;
  out.has_span_head = family.has_span_head;
  const RotaryOptions& rotary = plan.block.rotary;
  out.max_positions = positions_of(rotary, read_positions(config, family));
  out.angles_change_behind = angles_change_behind(rotary);
  out.recomputes_where_angles_change = rotary.scaling == RotaryScaling::kDivided;
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.sentence_head = {.takes_last = true, .out = "score", .out_has_bias = false, .dropout = 0};
  out.token_head = {.out = "score", .dropout = token_head_dropout(config)};
  out.causal_lm = {.out = "lm_head",
                   .is_tied = flag_field(config, "tie_word_embeddings", family.is_tied),
                   .table = plan.embeddings.names.words};
  return out;
}

void read_window(const Json& config, int64_t fallback, const IsSliding& is_sliding,
                 EncoderPlan& plan) {
  if (is_null_field(config, kWindow) || (fallback == 0 && !config.contains(kWindow)))
    return refuse_listed_windows(config, is_sliding, plan.layers);
  // The reference counts the token itself, attention the distance to others.
  const int64_t window = count_field(config, kWindow, fallback, 2) - 1;
  if (!is_sliding) {
    plan.block.window = window;
    return;
  }
  plan.vary = [window, is_sliding](int64_t layer, BlockOptions& block) {
    if (is_sliding(layer)) block.window = window;
  };
}

void read_qwen_window(const Json& config, EncoderPlan& plan) {
  const bool is_used = flag_field(config, "use_sliding_window", false);
  const int64_t first = count_field(config, "max_window_layers", 28, 0);
  const IsSliding is_sliding =
      sliding_layers_field(config, plan.layers, [=](int64_t layer) { return layer >= first; });
  Json used = config;
  if (!is_used) used[kWindow] = nullptr;
  read_window(used, 4096, is_sliding, plan);
}

ModelConfig read_config(const Json& config) {
  const Family family{.has_span_head = false};  // its names begin otherwise there
  EncoderPlan plan = read_plan(config, family);
  plan.block.attention_has_bias = flag_field(config, "attention_bias", false);
  plan.block.feed_forward_has_bias = flag_field(config, "mlp_bias", false);
  return described(config, plan, family);
}

}  // namespace hone::llama
