#include "models/block_stack.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <string>

#include "models/encoder_backbone.h"
#include "models/layers/adopt.h"
#include "models/layers/key_value_prefix.h"
#include "models/layers/layer_drop.h"
#include "models/layers/source.h"

namespace hone {

BlockStack::BlockStack(torch::nn::Module& root, const EncoderPlan& plan)
    : final_dropout_(plan.final_dropout) {
  make_embeddings(root, plan);
  make_layers(root, plan);
  if (!plan.final_norm.empty())
    final_norm_ = adopt(root, plan.final_norm,
                        LayerNorm(plan.block.hidden, plan.block.norm_eps, plan.block.norm_kind));
}

void BlockStack::make_embeddings(torch::nn::Module& root, const EncoderPlan& plan) {
  embeddings_ = TokenEmbeddings(plan.embeddings);
  if (plan.embeddings_name.empty()) {
    for (const auto& child : embeddings_->named_children())
      root.register_module(child.key(), child.value());
  } else {
    adopt(root, plan.embeddings_name, embeddings_);
  }
  if (!plan.projection.empty())
    projection_ = adopt(root, plan.projection, Linear(plan.embeddings.width, plan.block.hidden));
}

void BlockStack::make_layers(torch::nn::Module& root, const EncoderPlan& plan) {
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
      made.emplace(name, adopt(root, name, EncoderBlock(block)));
    }
    layers_.push_back(made.at(name));
    const BlockDropout& p = plan.block.dropout;
    dropout_.push_back(
        std::max({p.attention, p.attention_out, p.feed_forward_out, p.feed_forward_inner}));
  }
  if (distance_bias_) adopt(root, bias.name, distance_bias_);  // perhaps below a block (T5)
}

std::vector<at::Tensor> BlockStack::parameters_of(size_t layer) const {
  std::vector<at::Tensor> parameters = layers_[layer]->parameters();
  const auto is_there = [&](const at::Tensor& bias) {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const at::Tensor& parameter) { return parameter.is_same(bias); });
  };
  if (distance_bias_ && !is_there(distance_bias_->weight))
    parameters.push_back(distance_bias_->weight);
  return parameters;
}

at::Tensor BlockStack::embed(const Rows& rows, Precision precision) {
  at::Tensor x = embeddings_(rows);  // [N, width]
  if (precision == Precision::kBf16) x = x.to(at::kBFloat16);
  return projection_ ? projection_(x, rows) : x;
}

FrozenLayers BlockStack::frozen_layers() const {
  const auto is_frozen = [](const std::vector<at::Tensor>& parameters) {
    return std::none_of(parameters.begin(), parameters.end(),
                        [](const at::Tensor& parameter) { return parameter.requires_grad(); });
  };
  FrozenLayers frozen;
  if (!is_frozen(embeddings_->parameters()) ||
      (projection_ && !is_frozen(projection_->parameters())))
    return frozen;
  frozen.dropout = embeddings_->dropout();
  for (size_t layer = 0; layer < layers_.size() && is_frozen(parameters_of(layer)); ++layer) {
    ++frozen.layers;
    frozen.dropout = std::max(frozen.dropout, dropout_[layer]);
  }
  return frozen;
}

void BlockStack::keep_lower(std::shared_ptr<StateCache> cache, int64_t layers) {
  cache_ = std::move(cache);
  kept_layers_ = static_cast<size_t>(layers);
}

bool BlockStack::keeps(const Rows& rows, const Want& want) const {
  const Packed& tokens = rows.tokens();
  return cache_ != nullptr && embeddings_->is_training() && rows.cache() == nullptr &&
         rows.prefix() == nullptr && rows.source() == nullptr && want.states == nullptr &&
         !tokens.shift.defined() && !tokens.prompt.defined() && tokens.layer_drop == 0 &&
         tokens.ids.is_cpu();
}

at::Tensor BlockStack::lower(const Rows& rows, Precision precision, const Runner& runner) {
  return cache_->of(rows.tokens(), [&](const Packed& texts) {
    const Rows own(texts, /*is_training=*/false);
    at::Tensor x = embed(own, precision);
    for (size_t layer = 0; layer < kept_layers_; ++layer) x = run_layer(layer, x, own, runner);
    return x;
  });
}

at::Tensor BlockStack::run_layer(size_t layer, const at::Tensor& x, const Rows& rows,
                                 const Runner& runner) {
  const auto place = static_cast<int64_t>(layer);
  const Rows at = rows.at(place);
  const auto run = [block = layers_[layer], at](const at::Tensor& in) mutable {
    return block(in, at);
  };
  // They are read in backward alone. Listing them takes longer than a small layer's products of one
  // row.
  if (!c10::GradMode::is_enabled()) return after_layer_drop(x, runner({}, run, x), at);
  std::vector<at::Tensor> parameters = parameters_of(layer);
  if (rows.prefix() != nullptr) parameters.push_back(rows.prefix()->of_layer(place));
  if (rows.source() != nullptr && rows.source()->states.defined())
    parameters.push_back(rows.source()->states);
  return after_layer_drop(x, runner(parameters, run, x), at);
}

at::Tensor BlockStack::forward(const Rows& rows, const Want& want, Precision precision,
                               const Runner& runner) {
  const bool is_kept = keeps(rows, want);
  at::Tensor x = is_kept ? lower(rows, precision, runner) : embed(rows, precision);
  for (size_t layer = is_kept ? kept_layers_ : 0; layer < layers_.size(); ++layer) {
    const bool is_last = layer + 1 == layers_.size();
    x = run_layer(layer, x, is_last ? rows.choose(want.rows) : rows, runner);
    if (want.states != nullptr) want.states->push_back(x);
  }
  if (is_kept && kept_layers_ == layers_.size()) x = rows.choose(want.rows).of(x);
  if (final_norm_) x = final_norm_(x);
  if (final_dropout_ == 0) return x;
  const Rows given = rows.choose(want.rows);
  return kernels::dropout(x, given.dropout(DropoutPlace::kFinalNorm, final_dropout_));
}

}  // namespace hone
