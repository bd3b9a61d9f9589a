#include "models/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "models/kernels/attention_simd.h"
#include "models/kernels/block_product.h"
#include "models/kernels/random.h"
#include "models/kernels/share_out.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

double scale_of(const AttentionOptions& options, int64_t dim) {
  return options.scale == 0 ? 1 / std::sqrt(static_cast<double>(dim)) : options.scale;
}

// ---- inputs ----

struct Streams {
  at::Tensor q, k, v;
};

Streams parts_of(const at::Tensor& joined, int64_t kv_heads) {
  const auto parts =
      joined.split_with_sizes({joined.size(1) - 2 * kv_heads, kv_heads, kv_heads}, 1);
  return {parts[0], parts[1], parts[2]};
}

int64_t joined_kv_heads(const AttentionInputs& inputs) {
  TORCH_CHECK(inputs.joined.dim() == 3 && inputs.joined.size(1) > 2 * inputs.kv_heads &&
                  (inputs.kv_heads > 0 || inputs.joined.size(1) % 3 == 0),
              "[attention] expected joined [N, heads + 2 * kv_heads, dim] with ", inputs.kv_heads,
              " kv_heads (0: heads), received ", inputs.joined.sizes());
  return inputs.kv_heads > 0 ? inputs.kv_heads : inputs.joined.size(1) / 3;
}

Streams streams_of(const AttentionInputs& inputs) {
  if (!inputs.joined.defined()) return {inputs.q, inputs.k, inputs.v};
  return parts_of(inputs.joined, joined_kv_heads(inputs));
}

const Stretches& keys_of(const AttentionInputs& inputs) {
  return inputs.of_k.ends.defined() ? inputs.of_k : inputs.of_q;
}

// ---- checks ----

// What a family's plan may ask for in vain. Any number of columns of a head will do.
[[noreturn]] void refuse(const std::string& problem) {
  throw Error(ErrorKind::kModel, "attention: " + problem);
}

void check_heads(const Streams& x) {
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

void check_stretches(const Stretches& of, const at::Tensor& rows, const char* name) {
  const at::Tensor& ends = of.ends;
  TORCH_CHECK(ends.defined() && ends.is_cpu() && ends.dim() == 1 && ends.size(0) > 0 &&
                  ends.scalar_type() == at::kInt && ends.is_contiguous(),
              "[attention] expected the ends of ", name, " [S + 1] int32 on the CPU");
  const int32_t* end = ends.const_data_ptr<int32_t>();
  TORCH_CHECK(end[0] == 0 && end[ends.size(0) - 1] == rows.size(0), "[attention] the sequences of ",
              name, " go from row ", end[0], " to ", end[ends.size(0) - 1], " of ", rows.size(0));
  for (int64_t s = 0; s + 1 < ends.size(0); ++s) {
    TORCH_CHECK(end[s] <= end[s + 1] && end[s + 1] - end[s] <= of.longest, "[attention] sequence ",
                s, " of ", name, " has ", end[s + 1] - end[s], " rows; expected 0 to ", of.longest);
  }
  TORCH_CHECK(of.longest < kMaxAttentionPositions, "[attention] sequences of ", of.longest,
              " tokens are too long for dropout's counters");
}

// Each query must have a key to see, and a position where these count.
void check_pairs(const AttentionInputs& inputs, const AttentionOptions& options) {
  const at::Tensor &q_ends = inputs.of_q.ends, &k_ends = keys_of(inputs).ends;
  TORCH_CHECK(q_ends.sizes() == k_ends.sizes(), "[attention] ", q_ends.size(0) - 1,
              " sequences of queries but ", k_ends.size(0) - 1, " of keys");
  const int32_t *q = q_ends.const_data_ptr<int32_t>(), *k = k_ends.const_data_ptr<int32_t>();
  const bool has_positions =
      options.is_causal || options.window > 0 || inputs.rotary.cosine.defined();
  for (int64_t s = 0; s + 1 < q_ends.size(0); ++s) {
    const int32_t queries = q[s + 1] - q[s], keys = k[s + 1] - k[s];
    TORCH_CHECK(queries == 0 || keys > 0, "[attention] sequence ", s, " has ", queries,
                " queries but no keys to look at");
    TORCH_CHECK(queries <= keys || !has_positions, "[attention] sequence ", s, " has ", queries,
                " queries but only ", keys,
                " keys: causal, within a window or rotated, the first ones would stand nowhere");
  }
}

void check_options(const AttentionOptions& options, const Streams& x) {
  TORCH_CHECK(options.scale >= 0, "[attention] expected scale >= 0, received ", options.scale);
  TORCH_CHECK(options.window >= 0, "[attention] expected window >= 0, received ", options.window);
  TORCH_CHECK(
      options.dropout == 0 || (options.keys.defined() && options.keys.size(0) == x.q.size(0)),
      "[attention] expected keys [", x.q.size(0), "] where dropout > 0");
}

void check_rotary(const Rotary& rotary, const Streams& x, int64_t positions) {
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

int64_t buckets_of(const AttentionInputs& inputs) {
  for (const at::Tensor& bias : {inputs.bias, inputs.query_bias, inputs.key_bias})
    if (bias.defined()) return bias.size(-1);
  return 0;
}

void check_bias(const at::Tensor& bias, at::IntArrayRef shape, const at::Tensor& q,
                const char* name) {
  if (!bias.defined()) return;
  TORCH_CHECK(bias.sizes() == shape, "[attention] expected ", name, " ", shape, ", received ",
              bias.sizes());
  TORCH_CHECK(bias.scalar_type() == at::kFloat || bias.scalar_type() == q.scalar_type(),
              "[attention] expected ", name, " in fp32 or in the type of q");
}

// A column of a bucket across a block is found with 32 bits.
constexpr int64_t kMaxBuckets = int64_t{1} << 22;  // of all heads

void check_biases(const AttentionInputs& inputs, const Streams& x) {
  const int64_t buckets = buckets_of(inputs), heads = x.q.size(1);
  check_bias(inputs.bias, {heads, buckets}, x.q, "bias");
  check_bias(inputs.query_bias, {x.q.size(0), heads, buckets}, x.q, "query_bias");
  check_bias(inputs.key_bias, {x.k.size(0), heads, buckets}, x.q, "key_bias");
  TORCH_CHECK(buckets == 0 || inputs.bucket_of, "[attention] a bias needs bucket_of");
  if (heads * buckets >= kMaxBuckets)
    refuse(fmt::format("{} heads of {} buckets of distance; it takes fewer than {} in all", heads,
                       buckets, kMaxBuckets));
}

void check_inputs(const AttentionInputs& inputs, const Streams& x,
                  const AttentionOptions& options) {
  const Stretches& of_k = keys_of(inputs);
  check_heads(x);
  check_stretches(inputs.of_q, x.q, "q");
  check_stretches(of_k, x.k, "k");
  check_pairs(inputs, options);
  check_options(options, x);
  check_rotary(inputs.rotary, x, of_k.longest);
  check_biases(inputs, x);
}

// ---- biases ----

bool has_bias(const AttentionInputs& inputs) {
  return inputs.bias.defined() || inputs.query_bias.defined() || inputs.key_bias.defined();
}

// Distances that occur: from the first key seen by the last query to the last key seen by the
// first.
struct Distances {
  int64_t first, count;
};
Distances distances_of(const AttentionInputs& inputs) {
  const int64_t queries = inputs.of_q.longest, keys = keys_of(inputs).longest;
  return {1 - keys, std::max<int64_t>(0, queries + keys - 1)};
}

// Buckets of these distances, int64 on the CPU.
at::Tensor bucket_table(const AttentionInputs& inputs) {
  const Distances distances = distances_of(inputs);
  const int64_t buckets = buckets_of(inputs);
  at::Tensor table = at::empty({distances.count}, at::kLong);
  int64_t* bucket = table.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < distances.count; ++i) {
    bucket[i] = inputs.bucket_of(distances.first + i);
    TORCH_CHECK(bucket[i] >= 0 && bucket[i] < buckets, "[attention] bucket_of gives ", bucket[i],
                " for a distance of ", distances.first + i, "; expected 0 to ", buckets - 1);
  }
  return table;
}

// ---- the definition ----

// Position of each key less that of each query, [queries, keys].
at::Tensor distances(int64_t queries, int64_t keys, at::Device device) {
  const at::TensorOptions whole = at::TensorOptions(at::kLong).device(device);
  return at::arange(keys, whole).unsqueeze(0) -
         at::arange(keys - queries, keys, whole).unsqueeze(1);
}

// The biases of one sequence, each undefined or in the type of the arithmetic.
struct Biases {
  at::Tensor of_head;           // [heads, buckets]
  at::Tensor of_query, of_key;  // [Lq, heads, buckets], [Lk, heads, buckets]
  at::Tensor table;             // buckets of the distances from `first` on
  int64_t first = 0;
};

// Scores [heads, Lq, Lk] with the biases added.
at::Tensor with_biases(at::Tensor scores, const Biases& biases, const at::Tensor& distance) {
  if (!biases.table.defined()) return scores;
  const at::Tensor bucket =
      biases.table.index_select(0, (distance - biases.first).flatten()).view(distance.sizes());
  const at::Tensor index = bucket.expand(scores.sizes());
  if (biases.of_head.defined())
    scores = scores + biases.of_head.index_select(1, bucket.flatten()).view(scores.sizes());
  if (biases.of_query.defined()) scores = scores + biases.of_query.transpose(0, 1).gather(2, index);
  if (biases.of_key.defined()) {
    const at::Tensor by_key = biases.of_key.transpose(0, 1).gather(2, index.transpose(1, 2));
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
at::Tensor attend(const Streams& x, const Biases& biases, const at::Tensor& row_keys,
                  const AttentionOptions& options) {
  at::Tensor scores = at::matmul(x.q.transpose(0, 1) * scale_of(options, x.q.size(2)),
                                 x.k.permute({1, 2, 0}));  // [heads, Lq, Lk]
  const at::Tensor distance = distances(x.q.size(0), x.k.size(0), x.q.device());
  scores = with_biases(scores, biases, distance);
  if (options.is_causal) scores = scores.masked_fill(distance > 0, -INFINITY);
  if (options.window > 0) scores = scores.masked_fill(distance.abs() > options.window, -INFINITY);
  const at::Tensor weights = dropped(at::softmax(scores, -1), row_keys, options);
  return at::matmul(weights, x.v.transpose(0, 1)).transpose(0, 1);
}

at::ScalarType type_of_arithmetic(const at::Tensor& q) {
  return is_bf16(q) ? at::kFloat : q.scalar_type();
}

Biases wide_biases(const AttentionInputs& inputs, const Streams& x) {
  if (!has_bias(inputs)) return {};
  const auto wide = [&](const at::Tensor& bias) {
    return bias.defined() ? bias.to(type_of_arithmetic(x.q)) : bias;
  };
  return {wide(inputs.bias), wide(inputs.query_bias), wide(inputs.key_bias),
          bucket_table(inputs).to(x.q.device()), distances_of(inputs).first};
}

at::Tensor rows_of(const at::Tensor& x, int64_t begin, int64_t end) {
  return x.defined() ? x.slice(0, begin, end) : x;
}

at::Tensor rotated(const at::Tensor& x, int64_t position, const Rotary& rotary) {
  if (!rotary.cosine.defined()) return x;
  const at::Tensor positions =
      at::arange(position, position + x.size(0), at::TensorOptions(at::kLong).device(x.device()));
  return rotate(x, positions, rotary);
}

// One sequence in the type of the arithmetic, turned, with as many key/value heads as query heads.
Streams widened(const Streams& x, const Rotary& rotary) {
  const at::ScalarType type = type_of_arithmetic(x.q);
  const int64_t repeats = x.q.size(1) / x.k.size(1);
  const auto expanded = [&](const at::Tensor& y) {
    return repeats == 1 ? y : y.repeat_interleave(repeats, 1);
  };
  return {rotated(x.q.to(type), x.k.size(0) - x.q.size(0), rotary),
          expanded(rotated(x.k.to(type), 0, rotary)), expanded(x.v.to(type))};
}

// ---- the kernel ----

// What backward needs beside the inputs and the result.
struct Call : torch::CustomClassHolder {
  Stretches of_q, of_k;
  Rotary rotary;
  bool is_causal = false;
  int64_t window = 0, kv_heads = 0;
  double scale = 0;
  DropoutDecisions dropout;
  at::Tensor keys, log_sum_exp;
  bool is_recorded = false;
  // Where there are biases:
  Distances distances{};
  int64_t buckets = 0;
  at::Tensor table;  // bucket of each distance, int32; defined with query or key bias
};
using CallPtr = c10::intrusive_ptr<Call>;

HeadRows head_rows_of(const at::Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1)};
}
at::Tensor with_dense_heads(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

RotaryTable table_of(const Rotary& rotary) {
  if (!rotary.cosine.defined()) return {};
  return {rotary.cosine.const_data_ptr<float>(), rotary.sine.const_data_ptr<float>(),
          rotary.cosine.size(1)};
}

AttentionJob job_of(const Streams& x, const Call& call, const DistanceBias& bias) {
  return {.is_bf16 = is_bf16(x.q),
          .multiplies_bf16 = is_bf16(x.q) && can_multiply_bf16(),
          .is_causal = call.is_causal,
          .window = call.window,
          .queries = x.q.size(0),
          .heads = x.q.size(1),
          .kv_heads = x.k.size(1),
          .dim = x.q.size(2),
          .scale = static_cast<float>(call.scale),
          .rotary = table_of(call.rotary),
          .bias = bias,
          .dropout = call.dropout,
          .keys = call.keys.defined() ? call.keys.const_data_ptr<int64_t>() : nullptr,
          .q = head_rows_of(x.q),
          .k = head_rows_of(x.k),
          .v = head_rows_of(x.v)};
}

// Of x [..., distances] in the order of the pass, with room for a vector's tail.
at::Tensor in_order(const at::Tensor& x, bool is_backward) {
  return x.defined() ? at::constant_pad_nd(is_backward ? x.flip(-1) : x, {0, kLanes}) : x;
}

// The biases as the kernel takes them, and what they point to.
struct OrderedBiases {
  at::Tensor line, table;
  DistanceBias job;

  // `biases`: by head and distance, by query, by key.
  OrderedBiases(const variable_list& biases, const Call& call, bool is_backward)
      : line(in_order(biases[0], is_backward)), table(in_order(call.table, is_backward)) {
    const auto data = [](const at::Tensor& x) {
      return x.defined() ? x.const_data_ptr<float>() : nullptr;
    };
    const Distances& all = call.distances;
    job = {.zero = is_backward ? all.first + all.count - 1 : -all.first,
           .size = all.count + kLanes,
           .buckets = call.buckets,
           .line = data(line),
           .of_query = data(biases[1]),
           .of_key = data(biases[2]),
           .bucket = table.defined() ? table.const_data_ptr<int32_t>() : nullptr};
  }
};

// Units of about eight query heads, which share a Philox call; fewer where that leaves threads
// without work. Longest first.
std::vector<AttentionUnit> units_of(const AttentionJob& job, const Call& call) {
  const int32_t *q = call.of_q.ends.const_data_ptr<int32_t>(),
                *k = call.of_k.ends.const_data_ptr<int32_t>();
  const int64_t sequences = call.of_q.ends.size(0) - 1, repeats = job.heads / job.kv_heads;
  int64_t kv_heads = std::max<int64_t>(1, 8 / repeats);
  while (kv_heads > 1 &&
         sequences * ((job.kv_heads + kv_heads - 1) / kv_heads) < 2 * at::get_num_threads())
    kv_heads /= 2;
  std::vector<AttentionUnit> units;
  for (int64_t s = 0; s < sequences; ++s) {
    if (k[s] == k[s + 1]) continue;
    for (int64_t h = 0; h < job.kv_heads; h += kv_heads) {
      units.push_back({s, q[s], q[s + 1] - q[s], k[s], k[s + 1] - k[s], h,
                       std::min(job.kv_heads, h + kv_heads)});
    }
  }
  const auto cost = [](const AttentionUnit& unit) {
    return unit.q_length * unit.k_length * (unit.kv_end - unit.kv_begin);
  };
  std::stable_sort(units.begin(), units.end(), [&](const AttentionUnit& a, const AttentionUnit& b) {
    return cost(a) > cost(b);
  });
  return units;
}

void run(void (*kernel)(const AttentionJob&, const AttentionUnit&), const AttentionJob& job,
         const Call& call) {
  const std::vector<AttentionUnit> units = units_of(job, call);
  share_out(static_cast<int64_t>(units.size()), [&](int64_t i) { kernel(job, units[i]); });
}

at::Tensor forward_of(const Streams& x, const variable_list& biases, Call& call) {
  at::Tensor out = at::empty(x.q.sizes(), x.q.options());
  const OrderedBiases ordered(biases, call, /*is_backward=*/false);
  AttentionJob job = job_of(x, call, ordered.job);
  job.out = out.mutable_data_ptr();
  if (call.is_recorded) {
    call.log_sum_exp = at::empty({x.q.size(1), x.q.size(0)}, x.q.options().dtype(at::kFloat));
    job.log_sum_exp = call.log_sum_exp.mutable_data_ptr<float>();
  }
  run(attention_forward, job, call);
  return out;
}

// Where the gradients of the biases that want one are added up; `lines` by sequence.
struct BiasGradients {
  at::Tensor lines, of_query, of_key;

  BiasGradients(const variable_list& biases, const Call& call, DistanceBias& job) {
    const auto is_wanted = [](const at::Tensor& x) { return x.defined() && x.requires_grad(); };
    if (is_wanted(biases[0]))
      lines = at::zeros({call.of_q.ends.size(0) - 1, biases[0].size(0), job.size});
    if (is_wanted(biases[1])) of_query = at::zeros_like(biases[1]);
    if (is_wanted(biases[2])) of_key = at::zeros_like(biases[2]);
    const auto data = [](const at::Tensor& x) {
      return x.defined() ? x.mutable_data_ptr<float>() : nullptr;
    };
    job.dline = data(lines), job.dof_query = data(of_query), job.dof_key = data(of_key);
  }

  // One after the other, so that the sums do not depend on threads.
  at::Tensor line(const Call& call) const {
    if (!lines.defined()) return lines;
    at::Tensor sum = at::zeros({lines.size(1), lines.size(2)});
    for (int64_t s = 0; s < lines.size(0); ++s) sum.add_(lines[s]);
    return sum.slice(1, 0, call.distances.count).flip(1);
  }
  variable_list scaled(const Call& call) const {
    variable_list result = {line(call), of_query, of_key};
    for (at::Tensor& x : result)
      if (x.defined() && call.dropout.scale != 1) x.mul_(call.dropout.scale);
    return result;
  }
};

// Writes the gradients of q, k and v, like these but for the distance of rows; returns those of the
// biases.
variable_list backward_of(const Streams& x, const variable_list& biases, const at::Tensor& out,
                          const at::Tensor& gradient, const Streams& gradients, Call& call) {
  const at::Tensor grad = gradient.contiguous();
  const OrderedBiases ordered(biases, call, /*is_backward=*/true);
  AttentionJob job = job_of(x, call, ordered.job);
  const BiasGradients of_biases(biases, call, job.bias);
  job.out = out.data_ptr();
  job.log_sum_exp = call.log_sum_exp.mutable_data_ptr<float>();
  job.grad = grad.const_data_ptr();
  job.dq = gradients.q.mutable_data_ptr();
  job.dk = gradients.k.mutable_data_ptr();
  job.dv = gradients.v.mutable_data_ptr();
  job.dq_row = gradients.q.stride(0);
  job.dkv_row = gradients.k.stride(0);
  run(attention_backward, job, call);
  return of_biases.scaled(call);
}

// Inputs are q, k and v, or all three joined in the first; then the biases: by head and distance,
// by query, by key.
struct Attention : torch::autograd::Function<Attention> {
  static Variable forward(AutogradContext* context, const Variable& q, const MaybeTensor& k,
                          const MaybeTensor& v, const MaybeTensor& line,
                          const MaybeTensor& query_bias, const MaybeTensor& key_bias,
                          const CallPtr& call) {
    variable_list saved;
    saved.reserve(7);
    saved.push_back(q);
    for (const MaybeTensor& x : {k, v, line, query_bias, key_bias})
      saved.push_back(tensor_or_undefined(x));
    const at::Tensor out = forward_of(streams(saved, *call), biases(saved), *call);
    if (call->is_recorded) {
      saved.push_back(out);
      context->save_for_backward(saved);
      context->saved_data["call"] = at::IValue::make_capsule(call);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const CallPtr call =
        c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    variable_list result(3);
    for (size_t i = 0; i < result.size(); ++i)
      if (saved[i].defined()) result[i] = at::empty(saved[i].sizes(), saved[i].options());
    const variable_list of_biases = backward_of(streams(saved, *call), biases(saved), saved.back(),
                                                gradients[0], streams(result, *call), *call);
    result.insert(result.end(), of_biases.begin(), of_biases.end());
    result.emplace_back();
    return result;
  }

  static Streams streams(const variable_list& inputs, const Call& call) {
    if (!inputs[1].defined()) return parts_of(inputs[0], call.kv_heads);
    return {inputs[0], inputs[1], inputs[2]};
  }
  static variable_list biases(const variable_list& inputs) {
    return {inputs[3], inputs[4], inputs[5]};
  }
};

// The biases as the function above takes them, each undefined or fp32; tells `call` their
// distances.
variable_list biases_of(const AttentionInputs& inputs, Call& call) {
  variable_list biases(3);
  if (!has_bias(inputs)) return biases;
  const at::Tensor table = bucket_table(inputs);
  call.distances = distances_of(inputs);
  call.buckets = buckets_of(inputs);
  if (inputs.bias.defined()) biases[0] = inputs.bias.to(at::kFloat).index_select(1, table);
  if (inputs.query_bias.defined()) biases[1] = inputs.query_bias.to(at::kFloat).contiguous();
  if (inputs.key_bias.defined()) biases[2] = inputs.key_bias.to(at::kFloat).contiguous();
  if (biases[1].defined() || biases[2].defined()) call.table = table.to(at::kInt);
  return biases;
}

CallPtr call_of(const AttentionInputs& inputs, const Streams& x, const AttentionOptions& options) {
  CallPtr call = c10::make_intrusive<Call>();
  call->of_q = inputs.of_q;
  call->of_k = keys_of(inputs);
  call->rotary = inputs.rotary;
  call->is_causal = options.is_causal;
  call->window = options.window;
  call->kv_heads = x.k.size(1);
  call->scale = scale_of(options, x.q.size(2));
  call->dropout = dropout_decisions(options.dropout, options.seed, options.site);
  if (call->dropout.threshold > 0) call->keys = options.keys.contiguous();
  call->is_recorded = is_recorded({x.q, x.k, x.v, inputs.bias, inputs.query_bias, inputs.key_bias});
  return call;
}

// ---- a GPU ----

bool has_flash(const AttentionInputs& inputs, const at::Tensor& q) {
  return q.is_cuda() && is_bf16(q) && q.size(2) % 8 == 0 && q.size(2) <= 256 && !has_bias(inputs);
}

// Positions of the rows of `of`, whose sequences end where those of `keys` end.
at::Tensor positions_of(const at::Tensor& of, const at::Tensor& keys, int64_t rows) {
  const at::Tensor lengths = of.diff(), first = of.slice(0, 0, -1) + lengths - keys.diff();
  return at::arange(rows, of.options().dtype(at::kLong)) -
         first.repeat_interleave(lengths.to(at::kLong), 0, rows);
}

at::Tensor flash_attention(const AttentionInputs& inputs, Streams x,
                           const AttentionOptions& options) {
  const auto on_device = [&](const Stretches& of) {
    return of.ends.to(x.q.device(), /*non_blocking=*/true);
  };
  const Stretches& of_k = keys_of(inputs);
  const at::Tensor q_ends = on_device(inputs.of_q), k_ends = on_device(of_k);
  if (inputs.rotary.cosine.defined()) {
    x.q = rotate(x.q, positions_of(q_ends, k_ends, x.q.size(0)), inputs.rotary);
    x.k = rotate(x.k, positions_of(k_ends, k_ends, x.k.size(0)), inputs.rotary);
  }
  if (options.dropout > 0) start_generator(x.q.device(), options.seed, options.site);
  const std::optional<int64_t> window =
      options.window > 0 ? std::optional<int64_t>(options.window) : std::nullopt;
  return std::get<0>(at::_flash_attention_forward(
      with_dense_heads(x.q), with_dense_heads(x.k), with_dense_heads(x.v), q_ends, k_ends,
      inputs.of_q.longest, of_k.longest, options.dropout, options.is_causal,
      /*return_debug_mask=*/false, scale_of(options, x.q.size(2)), window, window));
}

}  // namespace

at::Tensor attention_reference(const AttentionInputs& inputs, const AttentionOptions& options) {
  const Streams x = streams_of(inputs);
  check_inputs(inputs, x, options);
  if (options.dropout > 0 && x.q.is_cuda())
    start_generator(x.q.device(), options.seed, options.site);
  const Biases biases = wide_biases(inputs, x);
  const int32_t *q = inputs.of_q.ends.const_data_ptr<int32_t>(),
                *k = keys_of(inputs).ends.const_data_ptr<int32_t>();
  std::vector<at::Tensor> outputs;
  for (int64_t s = 0; s + 1 < inputs.of_q.ends.size(0); ++s) {
    if (q[s] == q[s + 1]) continue;
    const auto of_q = [&](const at::Tensor& y) { return rows_of(y, q[s], q[s + 1]); };
    const auto of_k = [&](const at::Tensor& y) { return rows_of(y, k[s], k[s + 1]); };
    const Biases part{biases.of_head, of_q(biases.of_query), of_k(biases.of_key), biases.table,
                      biases.first};
    outputs.push_back(attend(widened({of_q(x.q), of_k(x.k), of_k(x.v)}, inputs.rotary), part,
                             of_q(options.keys), options));
  }
  return outputs.empty() ? at::zeros_like(x.q) : at::cat(outputs).to(x.q.scalar_type());
}

at::Tensor attention(const AttentionInputs& inputs, const AttentionOptions& options) {
  const Streams x = streams_of(inputs);
  check_inputs(inputs, x, options);
  if (has_flash(inputs, x.q)) return flash_attention(inputs, x, options);
  if (!has_kernel(x.q)) return attention_reference(inputs, options);
  const CallPtr call = call_of(inputs, x, options);
  const variable_list biases = biases_of(inputs, *call);
  const bool is_joined = inputs.joined.defined();
  const auto apart = [&](const at::Tensor& part) {
    return is_joined ? MaybeTensor() : MaybeTensor(with_dense_heads(part));
  };
  return Attention::apply(is_joined ? inputs.joined.contiguous() : with_dense_heads(x.q),
                          apart(x.k), apart(x.v), if_defined(biases[0]), if_defined(biases[1]),
                          if_defined(biases[2]), call);
}

}  // namespace hone::kernels
