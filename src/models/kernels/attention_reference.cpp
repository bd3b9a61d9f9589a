// Attention composed of plain ATen operations, a sequence after the other: the definition.
#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "models/kernels/attention_inputs.h"
#include "models/kernels/random.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

// Position of each key less that of each query, [queries, keys].
at::Tensor distances(int64_t queries, int64_t keys, at::Device device) {
  const at::TensorOptions whole = at::TensorOptions(at::kLong).device(device);
  return at::arange(keys, whole).unsqueeze(0) -
         at::arange(keys - queries, keys, whole).unsqueeze(1);
}

// What depends on distances, each undefined or in the type of the arithmetic.
struct OfDistance {
  at::Tensor bias;           // [heads, buckets]
  at::Tensor keys, queries;  // [heads, dim, buckets]
  at::Tensor table;          // buckets of the distances from `first` on
  int64_t first = 0;
};

// Scores [heads, Lq, Lk] of q [heads, Lq, dim] and k [heads, Lk, dim].
at::Tensor scores_of(const at::Tensor& q, const at::Tensor& k, double scale, const OfDistance& of,
                     const at::Tensor& distance) {
  const at::Tensor scaled = q * scale;
  at::Tensor scores = at::matmul(scaled, k.transpose(1, 2));
  if (!of.table.defined()) return scores;
  const at::Tensor bucket =
      of.table.index_select(0, (distance - of.first).flatten()).view(distance.sizes());
  const at::Tensor index = bucket.expand(scores.sizes());
  if (of.bias.defined())
    scores = scores + of.bias.index_select(1, bucket.flatten()).view(scores.sizes());
  if (of.keys.defined()) scores = scores + at::matmul(scaled, of.keys).gather(2, index);
  if (of.queries.defined()) {
    const at::Tensor by_key = at::matmul(k * scale, of.queries).gather(2, index.transpose(1, 2));
    scores = scores + by_key.transpose(1, 2);
  }
  return scores;
}

at::Tensor dropped(const at::Tensor& weights, const at::Tensor& row_keys,
                   const AttentionOptions& options) {
  if (options.dropout == 0) return weights;
  if (weights.is_cuda())
    return std::get<0>(at::native_dropout(weights, options.dropout, /*train=*/true));
  const at::Tensor keep = attention_keep_mask(row_keys, weights.size(0), weights.size(2),
                                              options.dropout, options.seed, options.site);
  return weights * (keep * dropout_scale(options.dropout)).to(weights.scalar_type());
}

// One sequence: q [Lq, heads, dim], k and v [Lk, heads, dim] in the type of the arithmetic.
at::Tensor attend(const AttentionStreams& x, const OfDistance& of, const at::Tensor& row_keys,
                  const AttentionOptions& options) {
  const at::Tensor distance = distances(x.q.size(0), x.k.size(0), x.q.device());
  at::Tensor scores = scores_of(x.q.transpose(0, 1), x.k.transpose(0, 1),
                                attention_scale(options, x.q.size(2)), of, distance);
  if (options.soft_cap > 0) scores = at::tanh(scores / options.soft_cap) * options.soft_cap;
  if (options.is_causal) scores = scores.masked_fill(distance > 0, -INFINITY);
  if (options.window > 0) scores = scores.masked_fill(distance.abs() > options.window, -INFINITY);
  const at::Tensor weights = dropped(at::softmax(scores, -1), row_keys, options);
  return at::matmul(weights, x.v.transpose(0, 1)).transpose(0, 1);
}

at::ScalarType type_of_arithmetic(const at::Tensor& q) {
  return is_bf16(q) ? at::kFloat : q.scalar_type();
}

OfDistance of_distance(const AttentionInputs& inputs, const AttentionStreams& x) {
  if (!has_distances(inputs)) return {};
  const at::ScalarType type = type_of_arithmetic(x.q);
  const auto by_head = [&](const at::Tensor& positions) {
    return positions.defined() ? positions.to(type).permute({1, 2, 0}) : positions;
  };
  return {inputs.bias.defined() ? inputs.bias.to(type) : inputs.bias, by_head(inputs.position_keys),
          by_head(inputs.position_queries), bucket_table(inputs).to(x.q.device()),
          attention_distances(inputs).first};
}

at::Tensor rows_of(const at::Tensor& x, const SequenceRows& rows) {
  return x.defined() ? x.slice(0, rows.begin, rows.begin + rows.length) : x;
}

at::Tensor rotated(const at::Tensor& x, int64_t position, const Rotary& rotary) {
  if (!rotary.cosine.defined()) return x;
  const at::Tensor positions =
      at::arange(position, position + x.size(0), at::TensorOptions(at::kLong).device(x.device()));
  return rotate(x, positions, rotary);
}

// One sequence in the type of the arithmetic, turned, with as many key/value heads as query heads.
AttentionStreams widened(const AttentionStreams& x, const Rotary& rotary) {
  const at::ScalarType type = type_of_arithmetic(x.q);
  const int64_t repeats = x.q.size(1) / x.k.size(1);
  const auto expanded = [&](const at::Tensor& y) {
    return repeats == 1 ? y : y.repeat_interleave(repeats, 1);
  };
  return {rotated(x.q.to(type), x.k.size(0) - x.q.size(0), rotary),
          expanded(rotated(x.k.to(type), 0, rotary)), expanded(x.v.to(type))};
}

}  // namespace

at::Tensor attention_reference(const AttentionInputs& inputs, const AttentionOptions& options) {
  const AttentionStreams x = attention_streams(inputs);
  check_attention(inputs, x, options);
  if (options.dropout > 0 && x.q.is_cuda())
    start_generator(x.q.device(), options.seed, options.drawn, options.site);
  const OfDistance of = of_distance(inputs, x);
  std::vector<at::Tensor> outputs;
  for (int64_t s = 0; s + 1 < inputs.of_q.ends.size(0); ++s) {
    const SequenceRows q = rows_of_sequence(inputs.of_q, s),
                       k = rows_of_sequence(attention_keys(inputs), s);
    if (q.length == 0) continue;
    const auto of_q = [&](const at::Tensor& y) { return rows_of(y, q); };
    const auto of_k = [&](const at::Tensor& y) { return rows_of(y, k); };
    outputs.push_back(attend(widened({of_q(x.q), of_k(x.k), of_k(x.v)}, inputs.rotary), of,
                             of_q(options.keys), options));
  }
  return outputs.empty() ? at::zeros_like(x.q) : at::cat(outputs).to(x.q.scalar_type());
}

}  // namespace hone::kernels
