#include "models/mistral.h"

#include "models/llama.h"

namespace hone::mistral {

ModelConfig read_config(const Json& config) {
  const llama::Family family{.architecture_stem = "Mistral",
                             .intermediate = 14336,
                             .positions = 4096 * 32,
                             .key_value_heads = 8};
  EncoderPlan plan = llama::read_plan(config, family);
  llama::read_window(config, 4096, /*is_sliding=*/nullptr, plan);
  return llama::described(config, plan, family);
}

}  // namespace hone::mistral
