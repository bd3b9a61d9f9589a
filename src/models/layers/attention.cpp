#include "models/layers/attention.h"

#include <ATen/ops/zeros.h>

#include "models/kernels/attention_inputs.h"
#include "models/layers/adopt.h"
#include "models/layers/key_value_cache.h"
#include "models/layers/key_value_prefix.h"

namespace hone {
namespace {

// x [N, heads, dim], each head's values normed by themselves.
at::Tensor normed_heads(LayerNorm& norm, const at::Tensor& x) {
  return norm(x.reshape({-1, x.size(2)})).view(x.sizes());
}

}  // namespace

Linear key_product(int64_t in, int64_t out, bool has_bias, bool key_has_bias) {
  Linear product(in, out, has_bias && key_has_bias);
  if (has_bias && !key_has_bias) product->bias = at::zeros({out});
  return product;
}

SelfAttentionImpl::SelfAttentionImpl(const SelfAttentionOptions& options) : options_(options) {
  const Heads& heads = options.heads;
  const auto product = [&](const std::string& name, int64_t of_heads) {
    return adopt(*this, name, Linear(options.hidden, of_heads * heads.dim, options.has_bias));
  };
  const AttentionNames& names = options.names;
  query_key_value_ =
      names.joined.empty()
          ? JoinedLinear({product(names.query, heads.query),
                          adopt(*this, names.key,
                                key_product(options.hidden, heads.key_value * heads.dim,
                                            options.has_bias, options.key_has_bias)),
                          product(names.value, heads.key_value)})
          : JoinedLinear({product(names.joined, heads.joined())});
  const auto norm = [&](const std::string& name) -> LayerNorm {
    if (name.empty()) return nullptr;
    return adopt(*this, name, LayerNorm(heads.dim, options.norm_eps, NormKind::kRms));
  };
  query_norm_ = norm(names.query_norm);
  key_norm_ = norm(names.key_norm);
  out_ = adopt(
      *this, names.out,
      Linear(heads.query * heads.dim, options.hidden, options.has_bias && options.out_has_bias));
}

void SelfAttentionImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  query_key_value_.rejoin();
}

kernels::AttentionInputs SelfAttentionImpl::read(const at::Tensor& x, const Rows& all) {
  const Heads& heads = options_.heads;
  const Packed& tokens = all.tokens();
  const RotaryOptions& rotary = options_.rotary;
  const bool turns_here = rotary.theta > 0 && (all.cache() != nullptr || all.prefix() != nullptr ||
                                               depends_on_length(rotary, tokens.max_len));
  kernels::AttentionInputs inputs;
  inputs.of_q = {tokens.cu_seqlens, tokens.max_len, {}, tokens.placed_ends};
  if (rotary.theta > 0 && !turns_here) inputs.rotary = all.rotary(rotary);
  const at::Tensor joined = query_key_value_.forward(x, all).view({-1, heads.joined(), heads.dim});
  if (!query_norm_ && !key_norm_ && !turns_here) {
    inputs.joined = joined;
    inputs.kv_heads = heads.key_value;
    return inputs;
  }
  const kernels::AttentionStreams parts = kernels::attention_parts(joined, heads.key_value);
  inputs.q = query_norm_ ? normed_heads(query_norm_, parts.q) : parts.q;
  inputs.k = key_norm_ ? normed_heads(key_norm_, parts.k) : parts.k;
  inputs.v = parts.v;
  if (turns_here) {
    inputs.q = all.turned(inputs.q, rotary);
    inputs.k = all.turned(inputs.k, rotary);
  }
  return inputs;
}

kernels::AttentionInputs SelfAttentionImpl::with_earlier(const kernels::AttentionInputs& inputs,
                                                         const Rows& rows) {
  const kernels::AttentionStreams x = kernels::attention_streams(inputs);
  if (rows.prefix() != nullptr)
    rows.prefix()->append_to(*rows.cache(), rows.layer(), x.k.scalar_type());
  const KeyValueCache::View all = rows.cache()->append(rows.layer(), x.k, x.v, rows.tokens());
  kernels::AttentionInputs result = inputs;  // what depends on distances stays
  result.joined = at::Tensor();
  result.q = x.q, result.k = all.k, result.v = all.v;
  result.of_k = all.of_k;
  return result;
}

kernels::AttentionInputs SelfAttentionImpl::behind(const KeyValuePrefix& prefix,
                                                   const kernels::AttentionInputs& inputs,
                                                   const Rows& rows) {
  const kernels::AttentionStreams x = kernels::attention_streams(inputs);
  const KeyValuePrefix::View all = prefix.before(rows.layer(), x.k, x.v);
  kernels::AttentionInputs result = inputs;
  result.joined = at::Tensor();
  result.q = x.q, result.k = all.k, result.v = all.v;
  result.of_k = all.of_k;
  return result;
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const Rows& rows) {
  const Heads& heads = options_.heads;
  const Rows all = rows.all();
  const kernels::DropoutOptions dropout = all.dropout(DropoutPlace::kAttention, options_.dropout);
  kernels::AttentionInputs inputs = read(x, all);
  if (options_.bias) options_.bias->add_to(inputs);
  if (rows.cache() != nullptr)
    inputs = with_earlier(inputs, rows);
  else if (rows.prefix() != nullptr)
    inputs = behind(*rows.prefix(), inputs, rows);
  const at::Tensor mixed =
      kernels::attention(inputs, {.is_causal = options_.is_causal,
                                  .window = options_.window,
                                  .soft_cap = options_.soft_cap,
                                  .scale = options_.scale,
                                  .dropout = dropout.p,
                                  .seed = dropout.seed,
                                  .site = dropout.site,
                                  .keys = dropout.keys,
                                  .drawn = dropout.drawn,
                                  .is_replayed = all.tokens().placed_seed.defined()});
  return out_(rows.of(mixed.reshape({-1, heads.query * heads.dim})), rows);
}

}  // namespace hone
