#include "models/layers/cross_attention.h"

#include <tuple>
#include <utility>
#include <vector>

#include "models/layers/adopt.h"

namespace hone {

CrossAttentionImpl::CrossAttentionImpl(const CrossAttentionOptions& options) : options_(options) {
  const Heads& heads = options.heads;
  const AttentionNames& names = options.names;
  const int64_t width = heads.query * heads.dim, narrow = heads.key_value * heads.dim;
  query_ = adopt(*this, names.query, Linear(options.hidden, width, options.has_bias));
  const Linear key =
      adopt(*this, names.key,
            key_product(options.hidden, narrow, options.has_bias, options.key_has_bias));
  key_value_ = JoinedLinear(
      {key, adopt(*this, names.value, Linear(options.hidden, narrow, options.has_bias))});
  out_ = adopt(*this, names.out, Linear(width, options.hidden, options.has_bias));
}

void CrossAttentionImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  key_value_.rejoin();
}

std::pair<at::Tensor, at::Tensor> CrossAttentionImpl::keys_and_values(const Source& source,
                                                                      int64_t layer) {
  const Heads& heads = options_.heads;
  const at::Tensor joined = key_value_.forward(source.states, source.rows.at(layer));
  const std::vector<at::Tensor> parts =
      joined.view({-1, 2 * heads.key_value, heads.dim}).split(heads.key_value, 1);
  return {parts[0], parts[1]};
}

kernels::AttentionInputs CrossAttentionImpl::read(const at::Tensor& x, const Rows& rows) {
  const Source& source = *rows.source();
  kernels::AttentionInputs inputs;
  inputs.q = query_(x, rows).view({-1, options_.heads.query, options_.heads.dim});
  inputs.of_q = source.of_q;
  if (source.states.defined()) std::tie(inputs.k, inputs.v) = keys_and_values(source, rows.layer());
  const Packed& tokens = source.rows.tokens();
  if (source.memory == nullptr) {
    inputs.of_k = {tokens.cu_seqlens, tokens.max_len, {}, tokens.placed_ends};
    return inputs;
  }
  const KeyValueCache::View all =
      source.states.defined() ? source.memory->append(rows.layer(), inputs.k, inputs.v, tokens)
                              : source.memory->all(rows.layer());
  inputs.k = all.k, inputs.v = all.v, inputs.of_k = all.of_k;
  return inputs;
}

at::Tensor CrossAttentionImpl::forward(const at::Tensor& x, const Rows& rows) {
  TORCH_CHECK(rows.source() != nullptr, "[CrossAttention] there is no source to look at");
  const Rows all = rows.all();
  const kernels::DropoutOptions dropout =
      all.dropout(DropoutPlace::kCrossAttention, options_.dropout);
  const at::Tensor mixed =
      kernels::attention(read(x, all), {.scale = options_.scale,
                                        .dropout = dropout.p,
                                        .seed = dropout.seed,
                                        .site = dropout.site,
                                        .keys = dropout.keys,
                                        .drawn = dropout.drawn,
                                        .is_replayed = all.tokens().placed_seed.defined()});
  return out_(rows.of(mixed.reshape({-1, options_.heads.query * options_.heads.dim})), rows);
}

}  // namespace hone
