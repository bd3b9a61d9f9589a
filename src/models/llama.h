// Llama (Touvron et al. 2023, https://arxiv.org/abs/2302.13971; Llama 3, SmolLM2) and what its
// relatives (Mistral, Qwen 2 and 3, Phi 3, Gemma 2) have in common with it: causal attention of
// grouped heads with rotary positions, RMS norms before each part, a gated feed-forward.
#pragma once

#include <cstdint>
#include <optional>

#include "models/backbone.h"
#include "models/config_fields.h"
#include "models/encoder_backbone.h"
#include "models/rotary_fields.h"

namespace hone::llama {

ModelConfig read_config(const Json& config);

// A family's documented defaults of config.json, and the keys under other names.
struct Family {
  const char* architecture_stem = "Llama";
  int64_t words = 32000, hidden = 4096, intermediate = 11008, layers = 32, positions = 2048;
  int64_t heads = 32, key_value_heads = 0;  // 0: as many as query heads
  int64_t head_dim = 0;                     // 0: hidden / heads
  std::optional<int64_t> padding = {};      // "pad_token_id" where it is absent
  double norm_eps = 1e-6;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  bool is_tied = false;
  bool has_span_head = true;  // see ModelConfig
  RotaryRules rotary = {};
};

// The plan without biases, and with full attention; the family adds what it has beside that.
EncoderPlan read_plan(const Json& config, const Family& family);
// The facts of such a plan.
ModelConfig described(const Json& config, const EncoderPlan& plan, const Family& family);

// "sliding_window" tokens in the layers that `is_sliding` names (null: in all); `fallback` where
// the key is absent (0: none), and where it is null none at all: then "layer_types" may name no
// layer.
void read_window(const Json& config, int64_t fallback, const IsSliding& is_sliding,
                 EncoderPlan& plan);
// Of Qwen 2 and 3: where "use_sliding_window" says so, in the layers from "max_window_layers" on.
void read_qwen_window(const Json& config, EncoderPlan& plan);

}  // namespace hone::llama
