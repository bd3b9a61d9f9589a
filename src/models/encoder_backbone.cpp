#include "models/encoder_backbone.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "models/adapters/prefix.h"
#include "models/config_fields.h"
#include "models/kernels/activation.h"
#include "models/kernels/random.h"
#include "models/layers/adopt.h"
#include "models/layers/key_value_cache.h"

namespace hone {
namespace {

double weights_of(const BlockOptions& block) {
  const double hidden = double(block.hidden), dim = double(block.heads.dim),
               inner = double(block.intermediate);
  return hidden * dim * double(block.heads.joined() + block.heads.query) +
         hidden * inner * (block.is_gated ? 3 : 2);
}

// What the layers cannot do, said before anything is built.
void refuse_impossible(const EncoderPlan& plan) {
  const auto refuse = [](const std::string& what) { throw ConfigDefect("", what); };
  const Heads& heads = plan.block.heads;
  if (heads.query > kernels::kMaxAttentionHeads)
    refuse(fmt::format("asks for {} attention heads; at most {} are supported.", heads.query,
                       kernels::kMaxAttentionHeads));
  if (heads.key_value < 1 || heads.query % heads.key_value != 0)
    refuse(
        fmt::format("asks for {} query heads on {} key/value heads, which they do not share "
                    "evenly.",
                    heads.query, heads.key_value));
  if (const RotaryOptions& rotary = plan.block.rotary;
      rotary.theta > 0 && (rotary.columns % 2 != 0 || rotary.columns > heads.dim))
    refuse(
        fmt::format("asks for rotary positions of {} values for each head of {}; they come in "
                    "pairs.",
                    rotary.columns, heads.dim));
  if (plan.embeddings.positions > 0 && plan.embeddings.positions <= plan.embeddings.position_offset)
    throw ConfigDefect(
        "max_position_embeddings",
        fmt::format("\"max_position_embeddings\" leaves no position after the {} reserved ones.",
                    plan.embeddings.position_offset));
  if (plan.layers > Rows::kMostLayers)
    refuse(fmt::format("asks for {} layers; at most {} are supported.", plan.layers,
                       Rows::kMostLayers));
}

}  // namespace

ModelConfig EncoderPlan::described(const Json& raw) const {
  refuse_impossible(*this);
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

// Of a layer: queries, keys and values, their mix; the two dense outputs, the two norms and the
// residual between; the inner layer before and after its activation.
ActivationCounts EncoderPlan::activations() const {
  const Heads& heads = block.heads;
  return {.layers = layers,
          .layer = (heads.joined() + heads.query) * heads.dim + 5 * block.hidden +
                   (block.is_gated ? 3 : 2) * block.intermediate,
          .layer_fp32 = heads.query,
          .layer_input = block.hidden,
          .embeddings = 4 * block.hidden};
}

EncoderBackbone::EncoderBackbone(const ModelConfig& config, const EncoderPlan& plan)
    : Backbone(config) {
  const int64_t hidden = plan.block.hidden;
  make_embeddings(plan);
  make_layers(plan);
  const Heads& heads = plan.block.heads;
  if (plan.block.window == 0 && !plan.vary && plan.distance_bias.buckets == 0)
    prefix_shape_ = {plan.layers, heads.key_value, heads.dim};
  if (!plan.final_norm.empty())
    final_norm_ =
        adopt(*this, plan.final_norm, LayerNorm(hidden, plan.block.norm_eps, plan.block.norm_kind));
  if (config.sentence_head.uses_pooler) pooler_ = adopt(*this, plan.pooler, Linear(hidden, hidden));
}

void EncoderBackbone::make_embeddings(const EncoderPlan& plan) {
  embeddings_ = TokenEmbeddings(plan.embeddings);
  if (plan.embeddings_name.empty()) {
    for (const auto& child : embeddings_->named_children())
      register_module(child.key(), child.value());
  } else {
    adopt(*this, plan.embeddings_name, embeddings_);
  }
  if (!plan.projection.empty())
    projection_ = adopt(*this, plan.projection, Linear(plan.embeddings.width, plan.block.hidden));
}

void EncoderBackbone::make_layers(const EncoderPlan& plan) {
  const DistanceBiasPlan& bias = plan.distance_bias;
  if (bias.buckets > 0)
    distance_bias_ = DistanceBias(bias.buckets, plan.block.heads.query, bias.bucket_of);
  std::map<std::string, EncoderBlock> made;
  for (int64_t layer = 0; layer < plan.layers; ++layer) {
    const std::string name = plan.block_name(layer);
    if (!made.contains(name)) {
      BlockOptions block = plan.block;
      block.distance_bias = distance_bias_;
      if (plan.vary) plan.vary(layer, block);
      made.emplace(name, adopt(*this, name, EncoderBlock(block)));
    }
    layers_.push_back(made.at(name));
  }
  if (distance_bias_) adopt(*this, bias.name, distance_bias_);  // perhaps below a block (T5)
}

std::vector<at::Tensor> EncoderBackbone::parameters_of(size_t layer) const {
  std::vector<at::Tensor> parameters = layers_[layer]->parameters();
  const auto is_there = [&](const at::Tensor& bias) {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const at::Tensor& parameter) { return parameter.is_same(bias); });
  };
  if (distance_bias_ && !is_there(distance_bias_->weight))
    parameters.push_back(distance_bias_->weight);
  return parameters;
}

at::Tensor EncoderBackbone::embed(const Rows& rows) {
  at::Tensor x = embeddings_(rows);  // [N, width]
  if (precision() == Precision::kBf16) x = x.to(at::kBFloat16);
  return projection_ ? projection_(x, rows) : x;
}

at::Tensor EncoderBackbone::forward(std::span<const Packed> streams, const Want& want) {
  TORCH_CHECK(streams.size() == 1, "[EncoderBackbone] expected one stream, received ",
              streams.size());
  TORCH_CHECK(
      want.cache == nullptr || !is_training(),
      "[EncoderBackbone] keys and values of earlier tokens have no gradient: a cache is not "
      "for training");
  // A cache holds the prefix from the first pass on.
  const bool has_prefix = prefix() && (want.cache == nullptr || want.cache->sequences() == 0);
  Rows rows(has_prefix ? behind_prefix(streams[0], prefix()->length()) : streams[0], is_training(),
            want.cache);
  if (has_prefix) rows.set_prefix(prefix()->before(rows.tokens()));
  at::Tensor x = embed(rows);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const bool is_last = layer + 1 == layers_.size();
    const auto run =
        [block = layers_[layer],
         at = (is_last ? rows.choose(want.rows) : rows).at(static_cast<int64_t>(layer))](
            const at::Tensor& in) mutable { return block(in, at); };
    std::vector<at::Tensor> parameters = parameters_of(layer);
    if (has_prefix) parameters.push_back(rows.prefix()->of_layer(static_cast<int64_t>(layer)));
    x = through(parameters, run, x);
    if (want.states != nullptr) want.states->push_back(x);
  }
  return final_norm_ ? final_norm_(x) : x;
}

at::Tensor EncoderBackbone::pool(const at::Tensor& first, const Rows& rows) {
  if (!pooler_) return Backbone::pool(first, rows);
  return pooler_->activated(first, rows, kernels::Activation::kTanh);
}

}  // namespace hone
