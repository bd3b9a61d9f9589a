#include "models/qwen3.h"

#include "models/llama.h"

namespace hone::qwen3 {

ModelConfig read_config(const Json& config) {
  const llama::Family family{.architecture_stem = "Qwen3",
                             .words = 151936,
                             .intermediate = 22016,
                             .positions = 32768,
                             .key_value_heads = 32,
                             .head_dim = 128};
  EncoderPlan plan = llama::read_plan(config, family);
  plan.block.attention_has_bias = flag_field(config, "attention_bias", false);
  plan.block.names.products.query_norm = "q_norm";
  plan.block.names.products.key_norm = "k_norm";
  llama::read_qwen_window(config, plan);
  return llama::described(config, plan, family);
}

}  // namespace hone::qwen3
