#include "tasks/masked_lm_head.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/random.h"
#include "models/kernels/linear_cross_entropy.h"
#include "models/layers/adopt.h"

namespace hone {
namespace {

const MaskedLmStyle& masked_lm_style(const ModelConfig& config) {
  if (!config.masked_lm)
    throw Error(ErrorKind::kUsage,
                fmt::format("models of the family {} have no head for masked words here",
                            config.model_type));
  const auto tied = config.raw.find("tie_word_embeddings");
  if (tied != config.raw.end() && tied->is_boolean() && !tied->get<bool>())
    throw Error(ErrorKind::kModel,
                "config.json says \"tie_word_embeddings\": false, a head for masked words with a "
                "table of its own; only one that shares the word embeddings is supported.");
  return *config.masked_lm;
}

at::Tensor product(const at::Tensor& x, const at::Tensor& table, const at::Tensor& bias) {
  return bias.defined() ? at::addmm(bias, x, table.t()) : at::mm(x, table.t());
}

}  // namespace

MaskedLmHead::MaskedLmHead(const ModelConfig& config)
    : range_(config.initializer_range), words_(config.vocab_size) {
  const MaskedLmStyle& style = masked_lm_style(config);
  activation_ = style.activation;
  dense_ = adopt(*this, style.dense, Linear(config.hidden_size, style.width, style.dense_has_bias));
  norm_ = adopt(*this, style.norm, LayerNorm(style.width, style.norm_eps, style.norm_kind));
  if (!style.bias.empty()) bias_ = adopt_weight(*this, style.bias, at::zeros({config.vocab_size}));
}

void MaskedLmHead::initialise(uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  dense_->initialise(range_, mix(seed, 0));
  norm_->weight.fill_(1);
  if (norm_->bias.defined()) norm_->bias.zero_();
  if (bias_.defined()) bias_.zero_();
}

int64_t MaskedLmHead::loss_bytes(Precision) const {
  return kernels::linear_cross_entropy_bytes(words_, sizeof(float));  // it computes in fp32
}

at::Tensor MaskedLmHead::states(Backbone& backbone, const Batch& batch, const at::Tensor& rows) {
  const Rows at_head = Rows(batch.streams.front(), is_training()).choose(rows).at_head();
  const at::Tensor hidden = backbone.forward(batch.streams, {.rows = rows}).to(at::kFloat);
  return norm_(dense_->activated(hidden, at_head, activation_));
}

Outputs MaskedLmHead::forward(Backbone& backbone, const Batch& batch) {
  return {{logits(backbone, states(backbone, batch, {})), RowOf::kToken}};
}

at::Tensor MaskedLmHead::logits(const Backbone& backbone, const at::Tensor& states) const {
  return product(states, backbone.word_table(), bias_);
}

at::Tensor MaskedLmHead::logits(const Backbone& backbone, const at::Tensor& states,
                                const at::Tensor& ids) const {
  return product(states, backbone.word_table().index_select(0, ids),
                 bias_.defined() ? bias_.index_select(0, ids) : bias_);
}

at::Tensor MaskedLmHead::loss(const Backbone& backbone, const at::Tensor& states,
                              const at::Tensor& targets, double label_smoothing) const {
  const at::Tensor& table = backbone.word_table();
  return kernels::linear_cross_entropy_sum(states, table, bias_, table, targets,
                                           {.label_smoothing = label_smoothing});
}

}  // namespace hone
