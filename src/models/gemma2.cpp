#include "models/gemma2.h"

#include <cmath>

#include "models/llama.h"

namespace hone::gemma2 {
namespace {

constexpr const char* kBothWays = "use_bidirectional_attention";

// A cap, or 0 where it is null.
double cap_field(const Json& config, const char* key, double fallback) {
  const double cap = is_null_field(config, key) ? 0 : number_field(config, key, fallback);
  if (cap == 0 && !is_null_field(config, key))
    throw ConfigDefect(key, std::string("\"") + key + "\" should be above 0, or null for none.");
  return cap;
}

void read_attention(const Json& config, EncoderPlan& plan) {
  if (flag_field(config, kBothWays, false))
    throw ConfigDefect(kBothWays, std::string("\"") + kBothWays +
                                      "\" is true, but only attention to tokens before is "
                                      "supported.");
  BlockOptions& block = plan.block;
  block.attention_has_bias = flag_field(config, "attention_bias", false);
  block.attention_scale = 1 / std::sqrt(double(count_field(config, "query_pre_attn_scalar", 256)));
  block.attention_soft_cap = cap_field(config, "attn_logit_softcapping", 50);
  llama::read_window(
      config, 4096,
      sliding_layers_field(config, plan.layers, [](int64_t layer) { return layer % 2 == 0; }),
      plan);
}

}  // namespace

ModelConfig read_config(const Json& config) {
  const llama::Family family{.architecture_stem = "Gemma2",
                             .words = 256000,
                             .hidden = 2304,
                             .intermediate = 9216,
                             .layers = 26,
                             .positions = 8192,
                             .heads = 8,
                             .key_value_heads = 4,
                             .head_dim = 256,
                             .padding = 0,
                             .activation_key = "hidden_activation",
                             .activation = "gelu_pytorch_tanh",
                             .is_tied = true,
                             .has_span_head = false};
  EncoderPlan plan = llama::read_plan(config, family);
  plan.embeddings.scale = std::sqrt(double(plan.block.hidden));
  plan.block.norm_kind = NormKind::kRmsAroundOne;
  plan.block.names.out_norm = "pre_feedforward_layernorm";
  plan.block.names.after_attention_norm = "post_attention_layernorm";
  plan.block.names.after_feed_forward_norm = "post_feedforward_layernorm";
  read_attention(config, plan);
  ModelConfig out = llama::described(config, plan, family);
  out.causal_lm->soft_cap = cap_field(config, "final_logit_softcapping", 30);
  return out;
}

}  // namespace hone::gemma2
