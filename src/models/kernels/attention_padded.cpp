#include "models/kernels/attention_padded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "models/kernels/attention_inputs.h"
#include "models/kernels/random.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

// Sequences side by side: place (s, i) is row i of sequence s, or stands for none.
struct Grid {
  int64_t sequences, longest;
  at::Tensor rows;      // [S * longest] int64: the row at each place, or any row that is in use
  at::Tensor is_there;  // [S, longest] bool
  at::Tensor places;    // [rows in use] int64: the place of each

  at::Tensor laid_out(
      const at::Tensor& x) const {  // [rows, heads, dim] -> [S, heads, longest, dim]
    return x.index_select(0, rows).view({sequences, longest, x.size(1), x.size(2)}).transpose(1, 2);
  }
};

Grid grid_of(const Stretches& of, at::Device device) {
  const int64_t sequences = of.ends.size(0) - 1;
  std::vector<int64_t> rows(static_cast<size_t>(sequences * of.longest)), places;
  std::vector<uint8_t> is_there(rows.size());
  int64_t any = -1;
  for (int64_t s = 0; s < sequences; ++s) {
    const SequenceRows sequence = rows_of_sequence(of, s);
    for (int64_t i = 0; i < sequence.length; ++i) {
      const int64_t place = s * of.longest + i;
      rows[static_cast<size_t>(place)] = sequence.begin + i;
      is_there[static_cast<size_t>(place)] = 1;
      places.push_back(place);
      if (any < 0) any = sequence.begin;
    }
  }
  for (size_t place = 0; place < rows.size(); ++place)
    if (!is_there[place]) rows[place] = std::max<int64_t>(any, 0);
  return {sequences, of.longest, at::tensor(rows, at::kLong).to(device),
          at::tensor(is_there, at::kByte).view({sequences, of.longest}).to(device, at::kBool),
          at::tensor(places, at::kLong).to(device)};
}

// Position of each key less that of each query, [S, longest query, longest key]; or [1, …] where
// all sequences have as many keys as queries.
at::Tensor distances_of(const AttentionInputs& inputs, at::Device device) {
  const Stretches& of_k = attention_keys(inputs);
  std::vector<int64_t> before;  // keys before the first query
  bool is_any = false;
  for (int64_t s = 0; s + 1 < of_k.ends.size(0); ++s) {
    before.push_back(rows_of_sequence(of_k, s).length - rows_of_sequence(inputs.of_q, s).length);
    is_any = is_any || before.back() != 0;
  }
  const at::TensorOptions whole = at::TensorOptions(at::kLong).device(device);
  const at::Tensor between =
      (at::arange(of_k.longest, whole) - at::arange(inputs.of_q.longest, whole).unsqueeze(1))
          .unsqueeze(0);
  return is_any ? between - at::tensor(before, at::kLong).to(device).view({-1, 1, 1}) : between;
}

// Adds what depends on distances to scores [S, heads, Lq, Lk] of q (scaled) and k.
at::Tensor with_distances(at::Tensor scores, const AttentionInputs& inputs,
                          const at::Tensor& scaled_q, const at::Tensor& scaled_k,
                          const at::Tensor& distance) {
  if (!has_distances(inputs)) return scores;
  const Distances all = attention_distances(inputs);
  // Pairs that are not there may be further apart.
  const at::Tensor bucket =
      bucket_table(inputs)
          .to(scores.device())
          .index_select(0, (distance - all.first).clamp(0, all.count - 1).flatten())
          .view(distance.sizes())
          .unsqueeze(1);  // [S or 1, 1, Lq, Lk]
  const auto by_head = [&](const at::Tensor& positions) {
    return positions.to(scores.scalar_type()).permute({1, 2, 0});  // [heads, dim, buckets]
  };
  if (inputs.bias.defined())
    scores = scores + inputs.bias.to(scores.scalar_type())
                          .index_select(1, bucket.flatten())
                          .view({-1, bucket.size(0), bucket.size(2), bucket.size(3)})
                          .transpose(0, 1);
  if (inputs.position_keys.defined())
    scores = scores + at::matmul(scaled_q, by_head(inputs.position_keys))
                          .gather(3, bucket.expand(scores.sizes()));
  if (inputs.position_queries.defined())
    scores = scores + at::matmul(scaled_k, by_head(inputs.position_queries))
                          .gather(3, bucket.expand(scores.sizes()).transpose(2, 3))
                          .transpose(2, 3);
  return scores;
}

// Pairs that do not see each other, of [S, 1, Lq, Lk]. A place that stands for no query sees all:
// what it gives is left out.
at::Tensor hidden_pairs(const Grid& q, const Grid& k, const at::Tensor& distance,
                        const AttentionOptions& options) {
  at::Tensor hidden = k.is_there.logical_not().unsqueeze(1);
  if (options.is_causal) hidden = hidden.logical_or(distance > 0);
  if (options.window > 0) hidden = hidden.logical_or(distance.abs() > options.window);
  return hidden.logical_and(q.is_there.unsqueeze(2)).unsqueeze(1);
}

at::Tensor dropped_out(const at::Tensor& weights, const Grid& q, const AttentionOptions& options) {
  if (options.dropout == 0) return weights;
  if (weights.is_cuda()) {
    start_generator(weights.device(), options.seed, options.drawn, options.site);
    return std::get<0>(at::native_dropout(weights, options.dropout, /*train=*/true));
  }
  const at::Tensor keep =
      attention_keep_mask(options.keys.index_select(0, q.rows), weights.size(1), weights.size(3),
                          options.dropout, options.seed, options.site);  // [heads, S * Lq, Lk]
  return weights * (keep.view({weights.size(1), q.sequences, q.longest, -1}).transpose(0, 1) *
                    dropout_scale(options.dropout))
                       .to(weights.scalar_type());
}

AttentionStreams turned_by_grid(const AttentionStreams& x, const Rotary& rotary, const Grid& q,
                                const Grid& k, const at::Tensor& distance) {
  if (!rotary.cosine.defined()) return x;
  // Key 0 is at 0, so that query i is at minus its distance.
  const at::Tensor of_q = -distance.select(2, 0)
                               .expand({q.sequences, q.longest})
                               .reshape({-1})
                               .index_select(0, q.places);
  at::Tensor of_k = at::zeros({x.k.size(0)}, of_q.options());  // of rows with no use: any
  of_k.index_copy_(0, k.rows.index_select(0, k.places), k.places.remainder(k.longest));
  return {rotate(x.q, of_q, rotary), rotate(x.k, of_k, rotary), x.v};
}

}  // namespace

at::Tensor attention_padded(const AttentionInputs& inputs, const AttentionOptions& options) {
  AttentionStreams x = attention_streams(inputs);
  check_attention(inputs, x, options);
  if (x.q.size(0) == 0) return at::zeros_like(x.q);
  const at::ScalarType type = is_bf16(x.q) ? at::kFloat : x.q.scalar_type();
  const at::Device device = x.q.device();
  const Grid q = grid_of(inputs.of_q, device), k = grid_of(attention_keys(inputs), device);
  const at::Tensor distance = distances_of(inputs, device);
  x = turned_by_grid({x.q.to(type), x.k.to(type), x.v.to(type)}, inputs.rotary, q, k, distance);
  const int64_t repeats = x.q.size(1) / x.k.size(1);
  const auto of_all_heads = [&](const at::Tensor& y) {
    return k.laid_out(repeats == 1 ? y : y.repeat_interleave(repeats, 1));
  };
  const double scale = attention_scale(options, x.q.size(2));
  const at::Tensor all_k = of_all_heads(x.k), scaled_q = q.laid_out(x.q) * scale;
  at::Tensor scores = with_distances(at::matmul(scaled_q, all_k.transpose(2, 3)), inputs, scaled_q,
                                     all_k * scale, distance);
  if (options.soft_cap > 0) scores = at::tanh(scores / options.soft_cap) * options.soft_cap;
  // Not infinite: a sequence without keys must give numbers, though nobody reads them.
  scores = scores.masked_fill(hidden_pairs(q, k, distance, options),
                              std::numeric_limits<float>::lowest());
  const at::Tensor mixed =
      at::matmul(dropped_out(at::softmax(scores, -1), q, options), of_all_heads(x.v));
  return mixed.transpose(1, 2)
      .reshape({q.sequences * q.longest, mixed.size(1), mixed.size(3)})
      .index_select(0, q.places)
      .to(inputs.joined.defined() ? inputs.joined.scalar_type() : inputs.q.scalar_type());
}

}  // namespace hone::kernels
