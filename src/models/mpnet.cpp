#include "models/mpnet.h"

#include "models/bert.h"
#include "models/config_fields.h"
#include "models/roberta.h"

namespace hone::mpnet {
namespace {

// Fixed in the reference, whatever config.json says.
constexpr int64_t kPadding = 1, kReservedPositions = 2, kBuckets = 32, kFarthest = 128;

const AttentionNames kProducts{.query = "q", .key = "k", .value = "v", .out = "o"};

EncoderPlan read_plan(const Json& config) {
  EncoderPlan plan = bert::read_plan(config, {.words = 30527});
  plan.embeddings.padding = kPadding;
  plan.embeddings.position_offset = kReservedPositions;
  plan.embeddings.segments = 0;
  plan.block.names.attention = "attention.attn";
  plan.block.names.products = kProducts;
  plan.block.names.attention_norm = "attention.LayerNorm";
  plan.distance_bias = {
      .name = "encoder.relative_attention_bias",
      .buckets = count_field(config, "relative_attention_num_buckets", kBuckets, kBuckets),
      .bucket_of = logarithmic_buckets(kBuckets, kFarthest)};
  return plan;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  const EncoderPlan plan = read_plan(config);
  ModelConfig out = plan.described(config);
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.base_prefix = "mpnet";
  out.architecture_stem = "MPNet";
  out.token_head.dropout = plan.embeddings.dropout;
  out.sentence_head = {.dropout_before_dense = plan.embeddings.dropout,
                       .dense = "classifier.dense",
                       .activation = kernels::Activation::kTanh,
                       .out = "classifier.out_proj",
                       .dropout = plan.embeddings.dropout};
  out.choice_head = {.uses_pooler = true, .dropout = plan.embeddings.dropout};
  out.masked_lm = roberta::language_head(plan);
  return out;
}

}  // namespace hone::mpnet
