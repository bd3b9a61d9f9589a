#include "models/deberta_backbone.h"

#include "models/layers/adopt.h"
#include "models/layers/layer_drop.h"
#include "models/layers/virtual_tokens.h"

namespace hone {

ModelConfig DebertaPlan::described(const Json& raw) const {
  ModelConfig config = EncoderPlan::described(raw);
  config.plan = std::make_shared<DebertaPlan>(*this);
  return config;
}

std::shared_ptr<Backbone> DebertaPlan::build(const ModelConfig& config) const {
  return std::make_shared<DebertaBackbone>(config, *this);
}

double DebertaPlan::weights() const {
  const double hidden = double(block.hidden), square = hidden * hidden;
  const int parts = attention.shares_products || positions.buckets == 0
                        ? 0
                        : int(attention.content_to_position) + int(attention.position_to_content);
  return EncoderPlan::weights() + double(positions.buckets) * hidden +
         double(layers) * parts * square +
         square / double(convolution.groups) * double(convolution.tokens);
}

DebertaBackbone::DebertaBackbone(const ModelConfig& config, const DebertaPlan& plan)
    : Backbone(config) {
  embeddings_ = register_module("embeddings", TokenEmbeddings(plan.embeddings));
  const auto encoder = register_module("encoder", std::make_shared<torch::nn::Module>());
  if (plan.positions.buckets > 0) {
    positions_ = RelativePositions(plan.positions);
    for (const auto& child : positions_->named_children())
      encoder->register_module(child.key(), child.value());
  }
  for (int64_t layer = 0; layer < plan.layers; ++layer) {
    const auto attention = std::make_shared<DisentangledAttentionImpl>(plan.attention, positions_);
    layers_.push_back(adopt(*this, plan.block_name(layer), EncoderBlock(plan.block, attention)));
  }
  if (plan.convolution.tokens > 0)
    convolution_ = encoder->register_module("conv", Convolution(plan.convolution));
}

std::vector<at::Tensor> DebertaBackbone::parameters_of(size_t layer) const {
  std::vector<at::Tensor> parameters = layers_[layer]->parameters();
  const auto add = [&](const torch::nn::Module& module) {
    for (const at::Tensor& parameter : module.parameters()) parameters.push_back(parameter);
  };
  if (positions_) add(*positions_);
  if (convolution_ && layer == 0) add(*convolution_);
  return parameters;
}

at::Tensor DebertaBackbone::run_layer(size_t layer, const at::Tensor& x, const Rows& rows) {
  EncoderBlock block = layers_[layer];
  const at::Tensor out = block(x, rows);
  return convolution_ && layer == 0 ? convolution_(x, out, rows) : out;
}

at::Tensor DebertaBackbone::forward(std::span<const Packed> streams, const Want& want) {
  TORCH_CHECK(streams.size() == 1, "[DebertaBackbone] expected one stream, received ",
              streams.size());
  if (!prompt()) return forward_on(Rows(streams[0], is_training()), want);
  Want of_all = want;
  const Prompted all = begin_prompted(streams[0], of_all);
  const at::Tensor x = forward_on(Rows(all.tokens, is_training()), of_all);
  end_prompted(all, of_all);
  return x;
}

at::Tensor DebertaBackbone::forward_on(const Rows& rows, const Want& want) {
  at::Tensor x = embeddings_(rows);  // [N, hidden]
  if (precision() == Precision::kBf16) x = x.to(at::kBFloat16);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const bool is_last = layer + 1 == layers_.size();
    const Rows at = (is_last ? rows.choose(want.rows) : rows).at(static_cast<int64_t>(layer));
    const auto run = [=, this](const at::Tensor& in) { return run_layer(layer, in, at); };
    x = after_layer_drop(x, through(parameters_of(layer), run, x), at);
    if (want.states != nullptr) want.states->push_back(x);
  }
  return x;
}

}  // namespace hone
