#include "models/encoder_backbone.h"

#include "models/kernels/activation.h"
#include "models/layers/adopt.h"

namespace hone {

namespace {

double weights_of(const EncoderPlan& plan) {
  const TokenEmbeddingsOptions& tables = plan.embeddings;
  const double hidden = double(plan.blocks.hidden),
               rows = double(tables.words) + double(tables.positions) + double(tables.segments);
  return rows * double(tables.width) +
         double(plan.blocks.layers) * hidden * (4 * hidden + 2 * double(plan.blocks.intermediate));
}

}  // namespace

EncoderBackbone::EncoderBackbone(ModelConfig config, const EncoderPlan& plan)
    : Backbone(std::move(config)) {
  refuse_too_large(weights_of(plan), config_);
  embeddings_ = register_module("embeddings", TokenEmbeddings(plan.embeddings));
  if (plan.embeddings.width != plan.blocks.hidden) {
    projection_ =
        register_module("embeddings_project", Linear(plan.embeddings.width, plan.blocks.hidden));
  }
  encoder_ = register_module(plan.stack, Encoder(plan.blocks));
  if (config_.sentence_head.uses_pooler)
    pooler_ = adopt(*this, "pooler.dense", Linear(plan.blocks.hidden, plan.blocks.hidden));
}

at::Tensor EncoderBackbone::embed(const Packed& tokens) {
  at::Tensor x = embeddings_(tokens);  // [N, width]
  if (precision_ == Precision::kBf16) x = x.to(at::kBFloat16);
  return projection_ ? projection_(x) : x;
}

at::Tensor EncoderBackbone::forward(const Packed& tokens) {
  return encoder_->forward(embed(tokens), tokens);
}

at::Tensor EncoderBackbone::forward_first(const Packed& tokens) {
  return encoder_->forward(embed(tokens), tokens, tokens.first_rows());
}

at::Tensor EncoderBackbone::pool(const at::Tensor& first) {
  if (!pooler_) return Backbone::pool(first);
  return kernels::bias_activation(pooler_->forward_without_bias(first), pooler_->bias,
                                  kernels::Activation::kTanh);
}

void EncoderBackbone::set_precision(Precision precision) {
  precision_ = precision;
  for (const auto& module : modules()) {
    if (auto* linear = module->as<LinearImpl>()) linear->set_precision(precision);
  }
}

}  // namespace hone
