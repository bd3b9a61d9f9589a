#include "models/layers/encoder.h"

#include "models/layers/adopt.h"

namespace hone {
namespace {

std::shared_ptr<AttentionLayer> self_attention(const BlockOptions& o) {
  return SelfAttention(SelfAttentionOptions{.hidden = o.hidden,
                                            .heads = o.heads,
                                            .has_bias = o.attention_has_bias,
                                            .dropout = o.dropout.attention,
                                            .window = o.window,
                                            .rotary_theta = o.rotary_theta,
                                            .scale = o.attention_scale,
                                            .bias = o.distance_bias,
                                            .names = o.names.products})
      .ptr();
}

}  // namespace

EncoderBlockImpl::EncoderBlockImpl(const BlockOptions& o)
    : EncoderBlockImpl(o, self_attention(o)) {}

EncoderBlockImpl::EncoderBlockImpl(const BlockOptions& o, std::shared_ptr<AttentionLayer> attention)
    : options_(o) {
  const auto norm = [&](const std::string& name) {
    return adopt(*this, name, LayerNorm(o.hidden, o.norm_eps, o.norm_kind));
  };
  const auto product = [&](const std::string& name, int64_t in, int64_t out) {
    return adopt(*this, name, Linear(in, out, o.feed_forward_has_bias));
  };
  attention_ = adopt(*this, o.names.attention, std::move(attention));
  if (o.has_attention_norm) attention_norm_ = norm(o.names.attention_norm);
  up_ = product(o.names.up, o.hidden, o.is_gated ? 2 * o.intermediate : o.intermediate);
  down_ = product(o.names.down, o.intermediate, o.hidden);
  out_norm_ = norm(o.names.out_norm);
}

at::Tensor EncoderBlockImpl::feed_forward(const at::Tensor& x, const Rows& rows) {
  const at::Tensor inner = options_.is_gated
                               ? kernels::gated_activation(up_(x, rows), options_.activation)
                               : up_->activated(x, rows, options_.activation);
  const auto dropout =
      rows.dropout(DropoutPlace::kFeedForwardInner, options_.dropout.feed_forward_inner);
  return down_(kernels::dropout(inner, dropout), rows);
}

std::string EncoderBlockImpl::place_of_adapter(BlockPart part) const {
  const bool is_attention = part == BlockPart::kAttention;
  const BlockNames& names = options_.names;
  const std::string last = is_attention ? names.attention + "." + names.products.out : names.down;
  const std::string parent = last.substr(0, last.rfind('.'));
  if (parent != last && (parent == "output" || parent.ends_with(".output"))) return parent;
  return is_attention ? "attention_adapters" : "output_adapters";
}

void EncoderBlockImpl::attach(BlockPart part, const std::string& name,
                              std::shared_ptr<Bottleneck> adapter) {
  adopt(*this, place_of_adapter(part) + ".adapters." + name, adapter);
  (part == BlockPart::kAttention ? attention_adapter_ : feed_forward_adapter_) = std::move(adapter);
}

at::Tensor EncoderBlockImpl::add_and_norm(LayerNorm& norm, const at::Tensor& residual,
                                          const at::Tensor& y,
                                          const kernels::DropoutOptions& dropout, BlockPart part,
                                          const Rows& rows) {
  const auto& adapter = adapter_of(part);
  if (!adapter) return norm->forward_after(residual, y, dropout);
  return norm->forward_after(
      residual, adapter->apply(kernels::dropout(y, dropout), residual, norm, rows), {});
}

at::Tensor EncoderBlockImpl::add(const at::Tensor& residual, const at::Tensor& y,
                                 const kernels::DropoutOptions& dropout, BlockPart part,
                                 const Rows& rows) {
  const at::Tensor given = kernels::dropout(y, dropout);
  const auto& adapter = adapter_of(part);
  return residual + (adapter ? adapter->apply(given, residual, nullptr, rows) : given);
}

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const Rows& rows) {
  const auto after_attention =
      rows.dropout(DropoutPlace::kAttentionOut, options_.dropout.attention_out);
  const auto after_feed_forward =
      rows.dropout(DropoutPlace::kFeedForwardOut, options_.dropout.feed_forward_out);
  if (options_.norm_first) {
    const at::Tensor read = attention_norm_ ? attention_norm_(x) : x;
    const at::Tensor mid = add(rows.of(x), attention_->forward(read, rows), after_attention,
                               BlockPart::kAttention, rows);
    return add(mid, feed_forward(out_norm_(mid), rows), after_feed_forward, BlockPart::kFeedForward,
               rows);
  }
  const at::Tensor mid = add_and_norm(attention_norm_, rows.of(x), attention_->forward(x, rows),
                                      after_attention, BlockPart::kAttention, rows);
  return add_and_norm(out_norm_, mid, feed_forward(mid, rows), after_feed_forward,
                      BlockPart::kFeedForward, rows);
}

}  // namespace hone
