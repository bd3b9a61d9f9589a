#include "models/encoder_backbone.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "models/config_fields.h"
#include "models/kernels/activation.h"
#include "models/kernels/random.h"
#include "models/layers/adopt.h"

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
  if (plan.block.rotary_theta > 0 && heads.dim % 2 != 0)
    refuse(fmt::format("asks for rotary positions of {} values for each head; they come in pairs.",
                       heads.dim));
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
  return rows * double(embeddings.width) + double(blocks.size()) * weights_of(block);
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
  embeddings_ = register_module("embeddings", TokenEmbeddings(plan.embeddings));
  if (!plan.projection.empty())
    projection_ = adopt(*this, plan.projection, Linear(plan.embeddings.width, hidden));
  std::map<std::string, EncoderBlock> made;
  for (int64_t layer = 0; layer < plan.layers; ++layer) {
    const std::string name = plan.block_name(layer);
    if (!made.contains(name)) {
      BlockOptions block = plan.block;
      if (plan.vary) plan.vary(layer, block);
      made.emplace(name, adopt(*this, name, EncoderBlock(block)));
    }
    layers_.push_back(made.at(name));
  }
  if (!plan.final_norm.empty())
    final_norm_ = adopt(*this, plan.final_norm,
                        LayerNorm(hidden, plan.block.norm_eps, plan.block.norm_has_bias));
  if (config.sentence_head.uses_pooler) pooler_ = adopt(*this, plan.pooler, Linear(hidden, hidden));
}

at::Tensor EncoderBackbone::embed(const Rows& rows) {
  at::Tensor x = embeddings_(rows);  // [N, width]
  if (precision() == Precision::kBf16) x = x.to(at::kBFloat16);
  return projection_ ? projection_(x, rows) : x;
}

at::Tensor EncoderBackbone::forward(std::span<const Packed> streams, const Want& want) {
  TORCH_CHECK(streams.size() == 1, "[EncoderBackbone] expected one stream, received ",
              streams.size());
  const Rows rows(streams[0], is_training());
  at::Tensor x = embed(rows);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const bool is_last = layer + 1 == layers_.size();
    const auto run =
        [block = layers_[layer],
         at = (is_last ? rows.choose(want.rows) : rows).at(static_cast<int64_t>(layer))](
            const at::Tensor& in) mutable { return block(in, at); };
    x = through(layers_[layer]->parameters(), run, x);
    if (want.states != nullptr) want.states->push_back(x);
  }
  return final_norm_ ? final_norm_(x) : x;
}

at::Tensor EncoderBackbone::pool(const at::Tensor& first, const Rows& rows) {
  if (!pooler_) return Backbone::pool(first, rows);
  return pooler_->activated(first, rows, kernels::Activation::kTanh);
}

}  // namespace hone
