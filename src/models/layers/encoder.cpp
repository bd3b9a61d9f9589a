#include "models/layers/encoder.h"

#include <fmt/format.h>

#include "models/layers/adopt.h"
#include "models/layers/dropout_site.h"
#include "models/layers/recompute.h"

namespace hone {

EncoderBlockImpl::EncoderBlockImpl(const EncoderOptions& options, int64_t layer)
    : options_(options), layer_(layer) {
  const EncoderNames& names = options.names;
  const SelfAttentionOptions attention{.hidden = options.hidden,
                                       .heads = options.heads,
                                       .dropout = options.attention_dropout,
                                       .names = names.products};
  attention_ = adopt(*this, names.attention, SelfAttention(attention, layer));
  attention_norm_ = adopt(*this, names.attention_norm, LayerNorm(options.hidden, options.norm_eps));
  up_ = adopt(*this, names.up, Linear(options.hidden, options.intermediate));
  down_ = adopt(*this, names.down, Linear(options.intermediate, options.hidden));
  out_norm_ = adopt(*this, names.out_norm, LayerNorm(options.hidden, options.norm_eps));
}

at::Tensor EncoderBlockImpl::feed_forward(const at::Tensor& x) {
  return down_(
      kernels::bias_activation(up_->forward_without_bias(x), up_->bias, options_.activation));
}

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const Packed& tokens,
                                     const at::Tensor& rows) {
  const auto wanted = [&](const at::Tensor& all) {
    return rows.defined() && all.defined() ? all.index_select(0, rows) : all;
  };
  const auto dropout = [&, keys = wanted(tokens.keys)](DropoutPlace place) {
    kernels::DropoutOptions options =
        dropout_at(dropout_site(layer_, place), options_.dropout, is_training(), tokens);
    options.keys = keys;
    return options;
  };
  if (options_.norm_first) {
    const at::Tensor mid =
        wanted(x) + kernels::dropout(attention_(attention_norm_(x), tokens, rows),
                                     dropout(DropoutPlace::kAttentionOut));
    return mid +
           kernels::dropout(feed_forward(out_norm_(mid)), dropout(DropoutPlace::kFeedForwardOut));
  }
  const at::Tensor mid = attention_norm_->forward_after(wanted(x), attention_(x, tokens, rows),
                                                        dropout(DropoutPlace::kAttentionOut));
  return out_norm_->forward_after(mid, feed_forward(mid), dropout(DropoutPlace::kFeedForwardOut));
}

EncoderImpl::EncoderImpl(const EncoderOptions& options) {
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    blocks_.push_back(adopt(*this, fmt::format("layer.{}", layer), EncoderBlock(options, layer)));
  }
}

at::Tensor EncoderImpl::forward(at::Tensor x, const Packed& tokens, const at::Tensor& rows) {
  for (EncoderBlock& block : blocks_) {
    const at::Tensor read = &block == &blocks_.back() ? rows : at::Tensor();
    const auto run = [block, tokens, read](const at::Tensor& in) mutable {
      return block(in, tokens, read);
    };
    x = recomputes_ ? recomputed(run, x) : block(x, tokens, read);
  }
  return x;
}

}  // namespace hone
