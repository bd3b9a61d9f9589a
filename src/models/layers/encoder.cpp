#include "models/layers/encoder.h"

#include <fmt/format.h>

#include "models/layers/adopt.h"
#include "models/layers/dropout_site.h"
#include "models/layers/recompute.h"

namespace hone {

EncoderBlockImpl::EncoderBlockImpl(const EncoderOptions& options, int64_t layer) : options_(options), layer_(layer) {
  const EncoderNames& names = options.names;
  const SelfAttentionOptions attention{
      .hidden = options.hidden, .heads = options.heads, .dropout = options.attention_dropout, .names = names.products};
  attention_ = adopt(*this, names.attention, SelfAttention(attention, layer));
  attention_norm_ = adopt(*this, names.attention_norm, LayerNorm(options.hidden, options.norm_eps));
  up_ = adopt(*this, names.up, Linear(options.hidden, options.intermediate));
  down_ = adopt(*this, names.down, Linear(options.intermediate, options.hidden));
  out_norm_ = adopt(*this, names.out_norm, LayerNorm(options.hidden, options.norm_eps));
}

at::Tensor EncoderBlockImpl::feed_forward(const at::Tensor& x) {
  return down_(kernels::bias_activation(up_->forward_without_bias(x), up_->bias, options_.activation));
}

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const Packed& tokens) {
  const auto dropout = [&](DropoutPlace place) { return dropout_at(dropout_site(layer_, place), options_.dropout, is_training(), tokens); };
  if (options_.norm_first) {
    const at::Tensor mid = x + kernels::dropout(attention_(attention_norm_(x), tokens), dropout(DropoutPlace::kAttentionOut));
    return mid + kernels::dropout(feed_forward(out_norm_(mid)), dropout(DropoutPlace::kFeedForwardOut));
  }
  const at::Tensor mid = attention_norm_->forward_after(x, attention_(x, tokens), dropout(DropoutPlace::kAttentionOut));
  return out_norm_->forward_after(mid, feed_forward(mid), dropout(DropoutPlace::kFeedForwardOut));
}

EncoderImpl::EncoderImpl(const EncoderOptions& options) {
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    blocks_.push_back(adopt(*this, fmt::format("layer.{}", layer), EncoderBlock(options, layer)));
  }
}

at::Tensor EncoderImpl::forward(at::Tensor x, const Packed& tokens) {
  for (EncoderBlock& block : blocks_) {
    x = recomputes_ ? recomputed([block, tokens](const at::Tensor& in) mutable { return block(in, tokens); }, x) : block(x, tokens);
  }
  return x;
}

}  // namespace hone
