#include "tasks/heads.h"

#include <ATen/ops/segment_reduce.h>

#include "base/random.h"
#include "models/kernels/activation.h"
#include "models/kernels/dropout.h"
#include "models/layers/adopt.h"

namespace hone {
namespace {

// The outputs of a head are small; they are computed in fp32 whatever the backbone's precision.
at::Tensor widen(const at::Tensor& x) { return x.to(at::kFloat); }

// Pooled vectors [S, H] with their partners' in them; see Batch::mix.
at::Tensor mixed(const at::Tensor& x, const Batch& batch) {
  if (batch.mix == 1) return x;
  TORCH_CHECK(!batch.streams.front().cu_samples.defined(),
              "[SentenceHead] samples of several sequences are not mixed");
  const at::Tensor partners = partners_in(x.size(0)).to(x.device());
  return x * batch.mix + x.index_select(0, partners) * (1 - batch.mix);
}

}  // namespace

at::Tensor reduce_sequences(const at::Tensor& x, const Packed& tokens, const char* how) {
  return at::segment_reduce(x, how, /*lengths=*/{}, /*indices=*/{},
                            tokens.ends_there().to(x.device(), at::kLong), /*axis=*/0,
                            /*unsafe=*/true);
}

at::Tensor sentence_rows(const Packed& tokens, bool is_causal) {
  return is_causal ? tokens.last_rows() : tokens.first_rows();
}

StyledHead::StyledHead(const HeadStyle& style, const ModelConfig& config, int64_t outputs)
    : style_(style), range_(config.initializer_range) {
  const int64_t hidden = config.hidden_size;
  if (!style.dense.empty())
    dense_ = adopt(*this, style.dense, Linear(hidden, hidden, style.dense_has_bias));
  if (!style.norm.empty())
    norm_ = adopt(*this, style.norm, LayerNorm(hidden, style.norm_eps, style.norm_kind));
  out_ = adopt(*this, style.out, Linear(hidden, outputs, style.out_has_bias));
}

at::Tensor StyledHead::outputs_of(at::Tensor x, const Rows& rows, DropoutPlace last) {
  const auto drop = [&](DropoutPlace place, double p) {
    x = kernels::dropout(x, rows.dropout(place, p));
  };
  drop(DropoutPlace::kHeadIn, style_.dropout_before_dense);
  if (dense_) x = dense_->activated(x, rows, style_.activation);
  if (norm_) x = norm_(x);
  drop(last, style_.dropout);
  return out_(x, rows);
}

void StyledHead::initialise(uint64_t seed) {
  if (dense_) dense_->initialise(range_, mix(seed, 0));
  out_->initialise(range_, mix(seed, 1));
}

std::vector<std::string> StyledHead::pretrained() const {
  std::vector<std::string> names;
  for (const auto& item : named_parameters()) {
    if (style_.goes_on_from_pretraining && !item.key().starts_with(style_.out + "."))
      names.push_back(item.key());
  }
  return names;
}

SentenceHead::SentenceHead(const ModelConfig& config, int64_t outputs)
    : StyledHead(config.sentence_head, config, outputs) {}

at::Tensor SentenceHead::pooled(Backbone& backbone, const Batch& batch, const Rows& rows) {
  if (style_.averages)
    return reduce_sequences(widen(backbone.forward(batch.streams, {.of_prompted = true})),
                            rows.tokens(), "mean");
  const at::Tensor chosen =
      backbone.forward(batch.streams, {.rows = rows.chosen(), .of_prompted = true});
  return widen(style_.uses_pooler ? backbone.pool(chosen, rows) : chosen);
}

// Virtual tokens count: the first of them stands for the text, as in PEFT.
Outputs SentenceHead::forward(Backbone& backbone, const Batch& batch) {
  const Packed tokens = backbone.prompted(batch.streams.front());
  const Rows rows =
      Rows(tokens, is_training()).choose(sentence_rows(tokens, style_.takes_last)).at_head();
  return outputs_of(mixed(pooled(backbone, batch, rows), batch), rows, DropoutPlace::kHeadOut);
}

TokenHead::TokenHead(const ModelConfig& config, const HeadStyle& style, int64_t outputs)
    : StyledHead(style, config, outputs) {}

Outputs TokenHead::forward(Backbone& backbone, const Batch& batch) {
  const Rows rows = Rows(batch.streams.front(), is_training()).at_head();
  return {{outputs_of(widen(backbone.forward(batch.streams)), rows, DropoutPlace::kTokenHeadOut),
           RowOf::kToken}};
}

}  // namespace hone
