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

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const Rows& rows) {
  const auto after_attention =
      rows.dropout(DropoutPlace::kAttentionOut, options_.dropout.attention_out);
  const auto after_feed_forward =
      rows.dropout(DropoutPlace::kFeedForwardOut, options_.dropout.feed_forward_out);
  if (options_.norm_first) {
    const at::Tensor read = attention_norm_ ? attention_norm_(x) : x;
    const at::Tensor mid =
        rows.of(x) + kernels::dropout(attention_->forward(read, rows), after_attention);
    return mid + kernels::dropout(feed_forward(out_norm_(mid), rows), after_feed_forward);
  }
  const at::Tensor mid =
      attention_norm_->forward_after(rows.of(x), attention_->forward(x, rows), after_attention);
  return out_norm_->forward_after(mid, feed_forward(mid, rows), after_feed_forward);
}

}  // namespace hone
