#include "models/qwen2.h"

#include "models/llama.h"

namespace hone::qwen2 {

ModelConfig read_config(const Json& config) {
  const llama::Family family{.architecture_stem = "Qwen2",
                             .words = 151936,
                             .intermediate = 22016,
                             .positions = 32768,
                             .key_value_heads = 32};
  EncoderPlan plan = llama::read_plan(config, family);
  plan.block.attention_has_bias = true;
  plan.block.attention_out_has_bias = false;
  llama::read_qwen_window(config, plan);
  return llama::described(config, plan, family);
}

}  // namespace hone::qwen2
