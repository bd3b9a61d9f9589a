#include "models/albert.h"

#include <fmt/format.h>

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::albert {
namespace {

const BlockNames kAlbertNames{
    .attention = "attention",
    .products = {.query = "query", .key = "key", .value = "value", .out = "dense"},
    .attention_norm = "attention.LayerNorm",
    .up = "ffn",
    .down = "ffn_output",
    .out_norm = "full_layer_layer_norm",
};

// Which layers share a block: those of a group, which are repetitions of the group's own blocks.
void share_blocks(const Json& config, EncoderPlan& plan) {
  const int64_t repetitions = plan.layers, groups = count_field(config, "num_hidden_groups", 1),
                inner = count_field(config, "inner_group_num", 1);
  if (repetitions % groups != 0) {
    throw ConfigDefect(
        "num_hidden_groups",
        fmt::format("\"num_hidden_layers\" {} is not a multiple of \"num_hidden_groups\" {}.",
                    repetitions, groups));
  }
  plan.layers = repetitions * inner;
  plan.block_name = [inner, of_a_group = plan.layers / groups](int64_t layer) {
    return fmt::format("encoder.albert_layer_groups.{}.albert_layers.{}", layer / of_a_group,
                       layer % inner);
  };
}

}  // namespace

ModelConfig read_config(const Json& config) {
  EncoderPlan plan = bert::read_plan(config, {.words = 30000,
                                              .hidden = 4096,
                                              .heads = 64,
                                              .intermediate = 16384,
                                              .activation = "gelu_new",
                                              .dropout = 0});
  plan.embeddings.width = count_field(config, "embedding_size", 128);
  plan.projection = "encoder.embedding_hidden_mapping_in";
  plan.pooler = "pooler";
  plan.block.names = kAlbertNames;
  share_blocks(config, plan);
  ModelConfig out = plan.described(config);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.base_prefix = "albert";
  out.architecture_stem = "Albert";
  out.token_head.dropout = dropout_field(config, "classifier_dropout_prob", 0.1);
  out.sentence_head.dropout = out.token_head.dropout;
  out.sentence_head.uses_pooler = true;
  out.masked_lm = {.dense = "predictions.dense",
                   .norm = "predictions.LayerNorm",
                   .bias = "predictions.bias",
                   .width = plan.embeddings.width,
                   .activation = plan.block.activation,
                   .norm_eps = plan.block.norm_eps};
  return out;
}

}  // namespace hone::albert
