#include "tasks/causal_lm_head.h"

#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "base/error.h"
#include "models/kernels/linear_cross_entropy.h"
#include "models/layers/adopt.h"

namespace hone {
namespace {

constexpr const char* kTied = "tied_output";  // a module without weights: no checkpoint has it

const CausalLmStyle& causal_lm_style(const ModelConfig& config) {
  if (!config.causal_lm)
    throw Error(ErrorKind::kUsage,
                fmt::format("models of the family {} predict no next token; take a decoder (gpt2, "
                            "llama, …)",
                            config.model_type));
  return *config.causal_lm;
}

}  // namespace

CausalLmHead::CausalLmHead(const ModelConfig& config, size_t streams)
    : style_(causal_lm_style(config)), range_(config.initializer_range), streams_(streams) {
  if (!style_.bias.empty())
    bias_ = register_parameter(style_.bias, at::zeros({1, config.vocab_size}),
                               /*requires_grad=*/false);
  if (!style_.is_tied)
    out_ =
        adopt(*this, style_.out, Linear(config.hidden_size, config.vocab_size, /*has_bias=*/false));
}

void CausalLmHead::tie(Backbone& backbone) {
  if (style_.is_tied) out_ = register_module(kTied, Linear(backbone.word_table()));
}

std::vector<std::string> CausalLmHead::pretrained() const {
  return bias_.defined() ? std::vector{style_.bias} : std::vector<std::string>{};
}

void CausalLmHead::set_precision(Precision precision) { out_->set_precision(precision); }

int64_t CausalLmHead::loss_bytes(Precision precision) const {
  return kernels::linear_cross_entropy_bytes(out_->weight.size(0),
                                             precision == Precision::kBf16 ? 2 : 4);
}

void CausalLmHead::initialise(uint64_t seed) {
  if (!style_.is_tied) out_->initialise(range_, seed);
}

at::Tensor CausalLmHead::states(Backbone& backbone, const Batch& batch, const at::Tensor& rows,
                                KeyValueCache* cache, SourceMemory* sources) {
  const at::Tensor states =
      backbone.forward(batch.streams, {.rows = rows, .cache = cache, .sources = sources});
  return style_.scale == 1 ? states : states * style_.scale;
}

Outputs CausalLmHead::forward(Backbone& backbone, const Batch& batch) {
  return {{logits(backbone, states(backbone, batch, {})), RowOf::kToken}};
}

at::Tensor CausalLmHead::logits(const Backbone&, const at::Tensor& states) const {
  Linear out = out_;
  const at::Tensor y =
      out->wide_product(states, bias_.defined() ? bias_.detach().squeeze(0) : at::Tensor());
  return style_.soft_cap > 0 ? at::tanh(y / style_.soft_cap) * style_.soft_cap : y;
}

at::Tensor CausalLmHead::loss(const Backbone&, const at::Tensor& states, const at::Tensor& targets,
                              double label_smoothing) const {
  Linear out = out_;
  return kernels::linear_cross_entropy_sum(
      states, out->weight, bias_.defined() ? bias_.detach().squeeze(0) : at::Tensor(),
      out->operand(states.scalar_type()), targets,
      {.label_smoothing = label_smoothing, .soft_cap = style_.soft_cap});
}

}  // namespace hone
