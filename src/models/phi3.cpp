#include "models/phi3.h"

#include "models/llama.h"

namespace hone::phi3 {

ModelConfig read_config(const Json& config) {
  const llama::Family family{
      .architecture_stem = "Phi3",
      .words = 32064,
      .hidden = 3072,
      .intermediate = 8192,
      .positions = 4096,
      .padding = 32000,
      .norm_eps = 1e-5,
      .has_span_head = false,
      .rotary = {.can_be_partial = true, .is_long_only = true, .trained = 4096}};
  EncoderPlan plan = llama::read_plan(config, family);
  plan.embeddings.dropout = dropout_field(config, "embd_pdrop", 0);
  BlockOptions& block = plan.block;
  block.dropout.attention_out = block.dropout.feed_forward_out =
      dropout_field(config, "resid_pdrop", 0);
  block.names.products = {.joined = "qkv_proj", .out = "o_proj"};
  block.names.up = "mlp.gate_up_proj";
  block.names.gate = "";
  llama::read_window(config, 0, /*is_sliding=*/nullptr, plan);
  return llama::described(config, plan, family);
}

}  // namespace hone::phi3
