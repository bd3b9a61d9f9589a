#include "models/layers/disentangled_attention.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <utility>

#include "models/layers/adopt.h"

namespace hone {

DisentangledAttentionImpl::DisentangledAttentionImpl(const DisentangledAttentionOptions& options,
                                                     RelativePositions positions)
    : options_(options), positions_(std::move(positions)) {
  options.is_joined ? add_joined_product() : add_products();
  if (positions_ && !options.shares_products) add_position_products();
  out_ = adopt(*this, "output.dense", product(/*has_bias=*/true));
}

Linear DisentangledAttentionImpl::product(bool has_bias) const {
  return Linear(options_.hidden, options_.hidden, has_bias);
}

void DisentangledAttentionImpl::add_products() {
  query_ = adopt(*this, "self.query_proj", product(true));
  key_ = adopt(*this, "self.key_proj", product(true));
  const Linear value = adopt(*this, "self.value_proj", product(true));
  query_key_value_ = JoinedLinear({query_, key_, value});
  if (!options_.shares_products) return;
  if (options_.content_to_position) position_key_ = key_;
  if (options_.position_to_content) position_query_ = query_;
}

void DisentangledAttentionImpl::add_joined_product() {
  joined_ = adopt(*this, "self.in_proj",
                  Linear(options_.hidden, 3 * options_.hidden, /*has_bias=*/false));
  const auto self = named_children()["self"];
  q_bias_ = self->register_parameter("q_bias", at::zeros({options_.hidden}));
  v_bias_ = self->register_parameter("v_bias", at::zeros({options_.hidden}));
}

void DisentangledAttentionImpl::add_position_products() {
  const bool is_joined = options_.is_joined;
  if (options_.content_to_position)
    position_key_ = adopt(*this, is_joined ? "self.pos_proj" : "self.pos_key_proj",
                          product(/*has_bias=*/!is_joined));
  if (options_.position_to_content)
    position_query_ = adopt(*this, is_joined ? "self.pos_q_proj" : "self.pos_query_proj",
                            product(/*has_bias=*/true));
}

void DisentangledAttentionImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  if (!joined_) query_key_value_.rejoin();
}

void DisentangledAttentionImpl::multiply(const at::Tensor& x, const Rows& rows,
                                         kernels::AttentionInputs& inputs) {
  const Heads& heads = options_.heads;
  if (!joined_) {
    inputs.joined = query_key_value_.forward(x, rows).view({-1, heads.joined(), heads.dim});
    return;
  }
  const at::Tensor all = joined_(x, rows).view({-1, heads.query, 3, heads.dim});
  const auto part = [&](int64_t which, const at::Tensor& bias) {
    return all.select(2, which) + bias.view({heads.query, heads.dim}).to(all.scalar_type());
  };
  inputs.q = part(0, q_bias_);
  inputs.k = all.select(2, 1);
  inputs.v = part(2, v_bias_);
}

void DisentangledAttentionImpl::add_positions(const at::Tensor& x, const Rows& rows,
                                              kernels::AttentionInputs& inputs) {
  const Heads& heads = options_.heads;
  const RelativePositionsImpl::Reached reached = positions_->reached_by(rows);
  const at::Tensor vectors = reached.vectors.to(x.scalar_type());
  const auto of_heads = [&](Linear& product) {
    return product(vectors, reached.rows).view({-1, heads.query, heads.dim});
  };
  inputs.bucket_of = reached.bucket_of;
  if (position_key_) inputs.position_keys = of_heads(position_key_);
  if (position_query_) inputs.position_queries = of_heads(position_query_);
}

at::Tensor DisentangledAttentionImpl::forward(const at::Tensor& x, const Rows& rows) {
  const Heads& heads = options_.heads;
  const Rows all = rows.all();
  const Packed& tokens = rows.tokens();
  const kernels::DropoutOptions dropout = all.dropout(DropoutPlace::kAttention, options_.dropout);
  kernels::AttentionInputs inputs;
  multiply(x, all, inputs);
  if (positions_) add_positions(x, all, inputs);
  inputs.of_q = {tokens.cu_seqlens, tokens.max_len, {}, tokens.placed_ends};
  const at::Tensor mixed = kernels::attention(
      inputs, {.scale = 1 / std::sqrt(static_cast<double>(heads.dim * options_.parts)),
               .dropout = dropout.p,
               .seed = dropout.seed,
               .site = dropout.site,
               .keys = dropout.keys,
               .drawn = dropout.drawn,
               .is_replayed = tokens.placed_seed.defined()});
  return out_(rows.of(mixed.reshape({-1, options_.hidden})), rows);
}

}  // namespace hone
