#include "models/kernels/attention_inputs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "models/kernels/random.h"

namespace hone::kernels {

double attention_scale(const AttentionOptions& options, int64_t dim) {
  return options.scale == 0 ? 1 / std::sqrt(static_cast<double>(dim)) : options.scale;
}

AttentionStreams attention_parts(const at::Tensor& joined, int64_t kv_heads) {
  const auto parts =
      joined.split_with_sizes({joined.size(1) - 2 * kv_heads, kv_heads, kv_heads}, 1);
  return {parts[0], parts[1], parts[2]};
}

namespace {

int64_t joined_kv_heads(const AttentionInputs& inputs) {
  TORCH_CHECK(inputs.joined.dim() == 3 && inputs.joined.size(1) > 2 * inputs.kv_heads &&
                  (inputs.kv_heads > 0 || inputs.joined.size(1) % 3 == 0),
              "[attention] expected joined [N, heads + 2 * kv_heads, dim] with ", inputs.kv_heads,
              " kv_heads (0: heads), received ", inputs.joined.sizes());
  return inputs.kv_heads > 0 ? inputs.kv_heads : inputs.joined.size(1) / 3;
}

}  // namespace

AttentionStreams attention_streams(const AttentionInputs& inputs) {
  if (!inputs.joined.defined()) return {inputs.q, inputs.k, inputs.v};
  return attention_parts(inputs.joined, joined_kv_heads(inputs));
}

const Stretches& attention_keys(const AttentionInputs& inputs) {
  return inputs.of_k.ends.defined() ? inputs.of_k : inputs.of_q;
}

SequenceRows rows_of_sequence(const Stretches& of, int64_t sequence) {
  const int32_t* ends = of.ends.const_data_ptr<int32_t>() + sequence;
  return {ends[0], of.lengths.defined() ? of.lengths.const_data_ptr<int32_t>()[sequence]
                                        : ends[1] - ends[0]};
}

bool has_positions(const AttentionInputs& inputs) {
  return inputs.position_keys.defined() || inputs.position_queries.defined();
}
bool has_distances(const AttentionInputs& inputs) {
  return inputs.bias.defined() || has_positions(inputs);
}

int64_t attention_buckets(const AttentionInputs& inputs) {
  if (inputs.bias.defined()) return inputs.bias.size(-1);
  for (const at::Tensor& positions : {inputs.position_keys, inputs.position_queries})
    if (positions.defined()) return positions.size(0);
  return 0;
}

// ---- checks ----

namespace {

// What a family's plan may ask for in vain. Any number of columns of a head will do.
[[noreturn]] void refuse(const std::string& problem) {
  throw Error(ErrorKind::kModel, "attention: " + problem);
}

void check_heads(const AttentionStreams& x) {
  TORCH_CHECK(
      x.q.dim() == 3 && x.k.dim() == 3 && x.k.sizes() == x.v.sizes() && x.q.size(2) == x.k.size(2),
      "[attention] expected q [Nq, heads, dim] and k, v [Nk, kv_heads, dim], received ",
      x.q.sizes(), ", ", x.k.sizes(), ", ", x.v.sizes());
  TORCH_CHECK(x.q.scalar_type() == x.k.scalar_type() && x.q.scalar_type() == x.v.scalar_type(),
              "[attention] q, k and v differ in type");
  const int64_t heads = x.q.size(1), kv_heads = x.k.size(1);
  if (kv_heads == 0 || heads % kv_heads != 0)
    refuse(fmt::format("{} query heads do not share {} key/value heads evenly", heads, kv_heads));
  if (heads > kMaxAttentionHeads)
    refuse(fmt::format("{} heads; it takes up to {}", heads, kMaxAttentionHeads));
}

void check_lengths(const Stretches& of, const char* name) {
  const at::Tensor& lengths = of.lengths;
  TORCH_CHECK(!lengths.defined() || (lengths.is_cpu() && lengths.dim() == 1 &&
                                     lengths.size(0) == of.ends.size(0) - 1 &&
                                     lengths.scalar_type() == at::kInt && lengths.is_contiguous()),
              "[attention] expected the lengths of ", name, " [", of.ends.size(0) - 1,
              "] int32 on the CPU");
}

void check_stretches(const Stretches& of, const at::Tensor& rows, const char* name) {
  const at::Tensor& ends = of.ends;
  TORCH_CHECK(ends.defined() && ends.is_cpu() && ends.dim() == 1 && ends.size(0) > 0 &&
                  ends.scalar_type() == at::kInt && ends.is_contiguous(),
              "[attention] expected the ends of ", name, " [S + 1] int32 on the CPU");
  check_lengths(of, name);
  const int32_t* end = ends.const_data_ptr<int32_t>();
  TORCH_CHECK(end[0] == 0 && end[ends.size(0) - 1] == rows.size(0), "[attention] the sequences of ",
              name, " go from row ", end[0], " to ", end[ends.size(0) - 1], " of ", rows.size(0));
  for (int64_t s = 0; s + 1 < ends.size(0); ++s) {
    const int64_t room = end[s + 1] - end[s], length = rows_of_sequence(of, s).length;
    TORCH_CHECK(length >= 0 && length <= of.longest, "[attention] sequence ", s, " of ", name,
                " has ", length, " rows; expected 0 to ", of.longest);
    TORCH_CHECK(length <= room, "[attention] sequence ", s, " of ", name, " has ", length,
                " rows in use, of ", room);
  }
  TORCH_CHECK(of.longest < kMaxAttentionPositions, "[attention] sequences of ", of.longest,
              " tokens are too long for dropout's counters");
}

// Each query must have a key to see, and a position where these count.
void check_pairs(const AttentionInputs& inputs, const AttentionOptions& options) {
  const at::Tensor &q_ends = inputs.of_q.ends, &k_ends = attention_keys(inputs).ends;
  TORCH_CHECK(q_ends.sizes() == k_ends.sizes(), "[attention] ", q_ends.size(0) - 1,
              " sequences of queries but ", k_ends.size(0) - 1, " of keys");
  TORCH_CHECK(!inputs.of_q.lengths.defined(),
              "[attention] lengths are those of keys; queries have no room to grow");
  const bool has_positions =
      options.is_causal || options.window > 0 || inputs.rotary.cosine.defined();
  for (int64_t s = 0; s + 1 < q_ends.size(0); ++s) {
    const int64_t queries = rows_of_sequence(inputs.of_q, s).length,
                  keys = rows_of_sequence(attention_keys(inputs), s).length;
    TORCH_CHECK(queries == 0 || keys > 0, "[attention] sequence ", s, " has ", queries,
                " queries but no keys to look at");
    TORCH_CHECK(queries <= keys || !has_positions, "[attention] sequence ", s, " has ", queries,
                " queries but only ", keys,
                " keys: causal, within a window or rotated, the first ones would stand nowhere");
  }
}

void check_options(const AttentionOptions& options, const AttentionStreams& x) {
  TORCH_CHECK(options.scale >= 0, "[attention] expected scale >= 0, received ", options.scale);
  TORCH_CHECK(options.window >= 0, "[attention] expected window >= 0, received ", options.window);
  TORCH_CHECK(options.soft_cap >= 0 && std::isfinite(options.soft_cap),
              "[attention] expected soft_cap >= 0, received ", options.soft_cap);
  TORCH_CHECK(
      options.dropout == 0 || (options.keys.defined() && options.keys.size(0) == x.q.size(0)),
      "[attention] expected keys [", x.q.size(0), "] where dropout > 0");
}

void check_rotary(const Rotary& rotary, const AttentionStreams& x, int64_t positions) {
  if (!rotary.cosine.defined()) return;
  TORCH_CHECK(rotary.cosine.dim() == 2 && rotary.cosine.sizes() == rotary.sine.sizes() &&
                  rotary.cosine.size(0) >= positions,
              "[attention] expected cosine and sine [", positions, " or more, pairs], received ",
              rotary.cosine.sizes(), " and ", rotary.sine.sizes());
  if (2 * rotary.cosine.size(1) > x.q.size(2))
    refuse(fmt::format("{} columns of a head cannot be rotated; it has {}",
                       2 * rotary.cosine.size(1), x.q.size(2)));
  TORCH_CHECK(rotary.cosine.scalar_type() == at::kFloat &&
                  rotary.sine.scalar_type() == at::kFloat && rotary.cosine.is_contiguous() &&
                  rotary.sine.is_contiguous(),
              "[attention] expected cosine and sine in contiguous fp32");
}

void check_bias(const at::Tensor& bias, at::IntArrayRef shape, const at::Tensor& q,
                const char* name) {
  if (!bias.defined()) return;
  TORCH_CHECK(bias.sizes() == shape, "[attention] expected ", name, " ", shape, ", received ",
              bias.sizes());
  TORCH_CHECK(bias.scalar_type() == at::kFloat || bias.scalar_type() == q.scalar_type(),
              "[attention] expected ", name, " in fp32 or in the type of q");
}

void check_positions(const at::Tensor& positions, at::IntArrayRef shape, const at::Tensor& q,
                     const char* name) {
  if (!positions.defined()) return;
  TORCH_CHECK(positions.sizes() == shape, "[attention] expected ", name, " ", shape, ", received ",
              positions.sizes());
  TORCH_CHECK(positions.scalar_type() == q.scalar_type(), "[attention] expected ", name,
              " in the type of q");
}

void check_distances(const AttentionInputs& inputs, const AttentionStreams& x) {
  const int64_t buckets = attention_buckets(inputs), heads = x.q.size(1);
  check_bias(inputs.bias, {heads, buckets}, x.q, "bias");
  check_positions(inputs.position_keys, {buckets, heads, x.q.size(2)}, x.q, "position_keys");
  check_positions(inputs.position_queries, {buckets, heads, x.q.size(2)}, x.q, "position_queries");
  TORCH_CHECK(buckets == 0 || inputs.bucket_of,
              "[attention] what depends on distances needs bucket_of");
}

}  // namespace

void check_attention(const AttentionInputs& inputs, const AttentionStreams& x,
                     const AttentionOptions& options) {
  const Stretches& of_k = attention_keys(inputs);
  check_heads(x);
  check_stretches(inputs.of_q, x.q, "q");
  check_stretches(of_k, x.k, "k");
  check_pairs(inputs, options);
  check_options(options, x);
  check_rotary(inputs.rotary, x, of_k.longest);
  check_distances(inputs, x);
}

// ---- distances ----

Distances attention_distances(const AttentionInputs& inputs) {
  const int64_t queries = inputs.of_q.longest, keys = attention_keys(inputs).longest;
  return {1 - keys, std::max<int64_t>(0, queries + keys - 1)};
}

at::Tensor bucket_table(const AttentionInputs& inputs) {
  const Distances distances = attention_distances(inputs);
  const int64_t buckets = attention_buckets(inputs);
  at::Tensor table = at::empty({distances.count}, at::kLong);
  int64_t* bucket = table.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < distances.count; ++i) {
    bucket[i] = inputs.bucket_of(distances.first + i);
    TORCH_CHECK(bucket[i] >= 0 && bucket[i] < buckets, "[attention] bucket_of gives ", bucket[i],
                " for a distance of ", distances.first + i, "; expected 0 to ", buckets - 1);
  }
  return table;
}

}  // namespace hone::kernels
