#include "models/layers/attention.h"

#include "models/kernels/attention.h"
#include "models/layers/adopt.h"
#include "models/layers/dropout_site.h"

namespace hone {

SelfAttentionImpl::SelfAttentionImpl(const SelfAttentionOptions& options, int64_t layer) : options_(options), layer_(layer) {
  const int64_t hidden = options.hidden;
  query_ = adopt(*this, options.names.query, Linear(hidden, hidden));
  key_ = adopt(*this, options.names.key, Linear(hidden, hidden));
  value_ = adopt(*this, options.names.value, Linear(hidden, hidden));
  out_ = adopt(*this, options.names.out, Linear(hidden, hidden));
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const Packed& tokens) {
  const int64_t dim = options_.hidden / options_.heads;
  const auto in_heads = [&](const at::Tensor& y) { return y.view({-1, options_.heads, dim}); };
  kernels::AttentionOptions how;
  how.is_causal = options_.is_causal;
  if (is_training() && options_.dropout > 0) {
    how.dropout = options_.dropout;
    how.seed = tokens.seed;
    how.site = dropout_site(layer_, DropoutPlace::kAttention);
    how.keys = tokens.keys;
  }
  const at::Tensor mixed = kernels::attention(in_heads(query_(x)), in_heads(key_(x)), in_heads(value_(x)), tokens.cu_seqlens,
                                              tokens.max_len, how);  // [N, heads, dim]
  return out_(mixed.reshape({-1, options_.hidden}));
}

}  // namespace hone
