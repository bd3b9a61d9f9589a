#include "models/layers/attention.h"

#include "models/kernels/attention.h"
#include "models/layers/adopt.h"
#include "models/layers/dropout_site.h"

namespace hone {

SelfAttentionImpl::SelfAttentionImpl(const SelfAttentionOptions& options, int64_t layer)
    : options_(options), layer_(layer) {
  const int64_t hidden = options.hidden;
  const auto product = [&](const std::string& name) {
    return adopt(*this, name, Linear(hidden, hidden));
  };
  query_key_value_ = JoinedLinear(
      {product(options.names.query), product(options.names.key), product(options.names.value)});
  out_ = adopt(*this, options.names.out, Linear(hidden, hidden));
}

void SelfAttentionImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  query_key_value_.rejoin();
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const Packed& tokens,
                                      const at::Tensor& rows) {
  const int64_t dim = options_.hidden / options_.heads;
  kernels::AttentionOptions how;
  how.is_causal = options_.is_causal;
  if (is_training() && options_.dropout > 0) {
    how.dropout = options_.dropout;
    how.seed = tokens.dropout_seed();
    how.site = dropout_site(layer_, DropoutPlace::kAttention);
    how.keys = tokens.keys;
  }
  kernels::AttentionInputs inputs;
  inputs.joined = query_key_value_.forward(x).view({-1, 3 * options_.heads, dim});
  inputs.of_q = {tokens.cu_seqlens, tokens.max_len};
  const at::Tensor mixed = kernels::attention(inputs, how);  // [N, heads, dim]
  const at::Tensor flat = mixed.reshape({-1, options_.hidden});
  return out_(rows.defined() ? flat.index_select(0, rows) : flat);
}

}  // namespace hone
