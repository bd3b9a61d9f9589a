#include "models/encoder_backbone.h"

#include <fmt/format.h>

#include <set>

#include "models/adapters/prefix.h"
#include "models/config_fields.h"
#include "models/kernels/activation.h"
#include "models/kernels/random.h"
#include "models/layers/adopt.h"
#include "models/layers/key_value_cache.h"
#include "models/layers/virtual_tokens.h"

namespace hone {
namespace {

double weights_of(const BlockOptions& block) {
  const double hidden = double(block.hidden), dim = double(block.heads.dim),
               inner = double(block.intermediate);
  const double attentions = block.names.cross_attention.empty() ? 1 : 2;
  return attentions * hidden * dim * double(block.heads.joined() + block.heads.query) +
         hidden * inner * (block.is_gated ? 3 : 2);
}

}  // namespace

void EncoderPlan::refuse_impossible() const {
  const auto refuse = [](const std::string& what) { throw ConfigDefect("", what); };
  const Heads& heads = block.heads;
  if (heads.query > kernels::kMaxAttentionHeads)
    refuse(fmt::format("asks for {} attention heads; at most {} are supported.", heads.query,
                       kernels::kMaxAttentionHeads));
  if (heads.key_value < 1 || heads.query % heads.key_value != 0)
    refuse(
        fmt::format("asks for {} query heads on {} key/value heads, which they do not share "
                    "evenly.",
                    heads.query, heads.key_value));
  if (const RotaryOptions& rotary = block.rotary;
      rotary.theta > 0 && (rotary.columns % 2 != 0 || rotary.columns > heads.dim))
    refuse(
        fmt::format("asks for rotary positions of {} values for each head of {}; they come in "
                    "pairs.",
                    rotary.columns, heads.dim));
  if (embeddings.positions > 0 && embeddings.positions <= embeddings.position_offset)
    throw ConfigDefect(
        "max_position_embeddings",
        fmt::format("\"max_position_embeddings\" leaves no position after the {} reserved ones.",
                    embeddings.position_offset));
  if (layers > Rows::kMostLayers)
    refuse(fmt::format("asks for {} layers; at most {} are supported.", layers, Rows::kMostLayers));
}

ModelConfig EncoderPlan::described(const Json& raw) const {
  refuse_impossible();
  ModelConfig config;
  config.raw = raw;
  config.hidden_size = block.hidden;
  config.num_layers = layers;
  config.vocab_size = embeddings.words;
  config.max_positions = embeddings.positions - embeddings.position_offset;
  config.is_causal = block.is_causal;
  config.plan = std::make_shared<EncoderPlan>(*this);
  return config;
}

std::shared_ptr<Backbone> EncoderPlan::build(const ModelConfig& config) const {
  return std::make_shared<EncoderBackbone>(config, *this);
}

double EncoderPlan::weights() const {
  std::set<std::string> blocks;
  for (int64_t layer = 0; layer < layers; ++layer) blocks.insert(block_name(layer));
  const double rows = double(embeddings.words) + double(embeddings.positions) +
                      double(embeddings.segments) + double(embeddings.tasks) +
                      double(embeddings.projected) +
                      (projection.empty() ? 0.0 : double(block.hidden));
  return double(distance_bias.buckets) * double(block.heads.query) +
         rows * double(embeddings.width) + double(blocks.size()) * weights_of(block);
}

// Of a layer: queries, keys and values, their mix; the inner layer before and after its activation,
// which a gated one computes again. Where norms come first, the input, the residual between and the
// two norms; else the two dense outputs, the two norms and the residual between.
ActivationCounts EncoderPlan::activations() const {
  const Heads& heads = block.heads;
  const bool keeps_gated = block.dropout.feed_forward_inner > 0;
  const int64_t attentions = block.names.cross_attention.empty() ? 1 : 2;
  return {.layers = layers,
          .layer = attentions * ((heads.joined() + heads.query) * heads.dim + 2 * block.hidden) +
                   (block.norm_first ? 2 : 3) * block.hidden +
                   (block.is_gated && keeps_gated ? 3 : 2) * block.intermediate,
          .layer_fp32 = attentions * heads.query,
          .layer_input = block.hidden,
          .embeddings = 4 * block.hidden};
}

EncoderBackbone::EncoderBackbone(const ModelConfig& config, const EncoderPlan& plan)
    : Backbone(config), stack_(*this, plan) {
  const int64_t hidden = plan.block.hidden;
  const Heads& heads = plan.block.heads;
  if (plan.block.window == 0 && !plan.vary && plan.distance_bias.buckets == 0)
    prefix_shape_ = {plan.layers, heads.key_value, heads.dim};
  if (config.sentence_head.uses_pooler) pooler_ = adopt(*this, plan.pooler, Linear(hidden, hidden));
}

at::Tensor EncoderBackbone::forward(std::span<const Packed> streams, const Want& want) {
  TORCH_CHECK(streams.size() == 1, "[EncoderBackbone] expected one stream, received ",
              streams.size());
  TORCH_CHECK(
      want.cache == nullptr || !is_training(),
      "[EncoderBackbone] keys and values of earlier tokens have no gradient: a cache is not "
      "for training");
  // A cache holds what stands before the text from the first pass on.
  const bool begins = want.cache == nullptr || want.cache->sequences() == 0;
  if (prompt() && begins) return forward_prompted(streams[0], want);
  const bool has_prefix = prefix() && begins;
  Rows rows(has_prefix ? behind_prefix(streams[0], prefix()->length()) : streams[0], is_training(),
            want.cache);
  if (has_prefix) rows.set_prefix(prefix()->before(rows.tokens()));
  return stack_.forward(rows, want, precision(), runner());
}

std::optional<FrozenLayers> EncoderBackbone::frozen_layers() const {
  return positions_taken() > 0 ? FrozenLayers() : stack_.frozen_layers();
}

at::Tensor EncoderBackbone::forward_prompted(const Packed& text, Want want) {
  const Prompted all = begin_prompted(text, want);
  const at::Tensor x =
      stack_.forward(Rows(all.tokens, is_training(), want.cache), want, precision(), runner());
  end_prompted(all, want);
  return x;
}

at::Tensor EncoderBackbone::pool(const at::Tensor& first, const Rows& rows) {
  if (!pooler_) return Backbone::pool(first, rows);
  return pooler_->activated(first, rows, kernels::Activation::kTanh);
}

}  // namespace hone
