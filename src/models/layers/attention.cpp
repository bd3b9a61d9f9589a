#include "models/layers/attention.h"

#include "models/kernels/attention_inputs.h"
#include "models/layers/adopt.h"
#include "models/layers/key_value_cache.h"

namespace hone {

SelfAttentionImpl::SelfAttentionImpl(const SelfAttentionOptions& options) : options_(options) {
  const Heads& heads = options.heads;
  const auto product = [&](const std::string& name, int64_t of_heads) {
    return adopt(*this, name, Linear(options.hidden, of_heads * heads.dim, options.has_bias));
  };
  const AttentionNames& names = options.names;
  query_key_value_ =
      names.joined.empty()
          ? JoinedLinear({product(names.query, heads.query), product(names.key, heads.key_value),
                          product(names.value, heads.key_value)})
          : JoinedLinear({product(names.joined, heads.joined())});
  out_ = adopt(*this, names.out, Linear(heads.query * heads.dim, options.hidden, options.has_bias));
}

void SelfAttentionImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  query_key_value_.rejoin();
}

kernels::AttentionInputs SelfAttentionImpl::with_earlier(const kernels::AttentionInputs& inputs,
                                                         const Rows& rows) {
  kernels::AttentionStreams x = kernels::attention_streams(inputs);
  if (inputs.rotary.cosine.defined()) {
    x.q = kernels::rotate(x.q, rows.tokens().positions, inputs.rotary);
    x.k = kernels::rotate(x.k, rows.tokens().positions, inputs.rotary);
  }
  const KeyValueCache::View all = rows.cache()->append(rows.layer(), x.k, x.v, rows.tokens());
  kernels::AttentionInputs result = inputs;  // what depends on distances stays
  result.joined = {};
  result.rotary = {};
  result.q = x.q, result.k = all.k, result.v = all.v;
  result.of_k = all.of_k;
  return result;
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const Rows& rows) {
  const Heads& heads = options_.heads;
  const Rows all = rows.all();
  const Packed& tokens = rows.tokens();
  const kernels::DropoutOptions dropout = all.dropout(DropoutPlace::kAttention, options_.dropout);
  kernels::AttentionInputs inputs;
  inputs.joined = query_key_value_.forward(x, all).view({-1, heads.joined(), heads.dim});
  inputs.kv_heads = heads.key_value;
  inputs.of_q = {tokens.cu_seqlens, tokens.max_len};
  if (options_.rotary_theta > 0) inputs.rotary = rows.rotary(options_.rotary_theta, heads.dim);
  if (options_.bias) options_.bias->add_to(inputs);
  if (rows.cache() != nullptr) inputs = with_earlier(inputs, rows);
  const at::Tensor mixed = kernels::attention(inputs, {.is_causal = options_.is_causal,
                                                       .window = options_.window,
                                                       .scale = options_.scale,
                                                       .soft_cap = options_.soft_cap,
                                                       .dropout = dropout.p,
                                                       .seed = dropout.seed,
                                                       .site = dropout.site,
                                                       .keys = dropout.keys});
  return out_(rows.of(mixed.reshape({-1, heads.query * heads.dim})), rows);
}

}  // namespace hone
