#include "tasks/heads.h"

#include "base/random.h"
#include "models/kernels/activation.h"
#include "models/kernels/dropout.h"
#include "models/layers/adopt.h"
#include "models/layers/dropout_site.h"

namespace hone {
namespace {

// The outputs of a head are small; they are computed in fp32 whatever the backbone's precision.
at::Tensor widen(const at::Tensor& x) { return x.to(at::kFloat); }

}  // namespace

SentenceHead::SentenceHead(const ModelConfig& config, int64_t outputs)
    : style_(config.sentence_head), range_(config.initializer_range) {
  if (!style_.dense.empty())
    dense_ = adopt(*this, style_.dense, Linear(config.hidden_size, config.hidden_size));
  out_ = adopt(*this, style_.out, Linear(config.hidden_size, outputs));
}

at::Tensor SentenceHead::first_tokens(Backbone& backbone, const Packed& tokens) {
  const at::Tensor first = backbone.forward_first(tokens);
  return widen(style_.uses_pooler ? backbone.pool(first) : first);
}

at::Tensor SentenceHead::forward(Backbone& backbone, const Batch& batch) {
  const Packed& tokens = batch.streams.front();
  const auto drop = [&, keys = tokens.keys.index_select(0, tokens.first_rows())](
                        const at::Tensor& x, uint32_t place) {
    kernels::DropoutOptions options =
        dropout_at(kFirstHeadSite + place, style_.dropout, is_training(), tokens);
    options.keys = keys;
    return kernels::dropout(x, options);
  };
  at::Tensor x = first_tokens(backbone, tokens);  // [S, H]
  if (dense_) {
    if (style_.dropout_before_dense) x = drop(x, 0);
    x = kernels::bias_activation(dense_->forward_without_bias(x), dense_->bias,
                                 kernels::activation_named(style_.activation));
  }
  return out_(drop(x, 1));
}

void SentenceHead::initialise(uint64_t seed) {
  if (dense_) dense_->initialise(range_, mix(seed, 0));
  out_->initialise(range_, mix(seed, 1));
}

TokenHead::TokenHead(const ModelConfig& config, const std::string& name, int64_t outputs)
    : dropout_(config.token_dropout), range_(config.initializer_range) {
  out_ = adopt(*this, name, Linear(config.hidden_size, outputs));
}

at::Tensor TokenHead::forward(Backbone& backbone, const Batch& batch) {
  const Packed& tokens = batch.streams.front();
  const at::Tensor hidden = widen(backbone.forward(tokens));  // [N, H]
  return out_(
      kernels::dropout(hidden, dropout_at(kFirstHeadSite, dropout_, is_training(), tokens)));
}

void TokenHead::initialise(uint64_t seed) { out_->initialise(range_, mix(seed, 1)); }

}  // namespace hone
