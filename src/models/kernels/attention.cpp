#include "models/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "models/kernels/attention_inputs.h"
#include "models/kernels/attention_padded.h"
#include "models/kernels/attention_positions.h"
#include "models/kernels/attention_simd.h"
#include "models/kernels/block_product.h"
#include "models/kernels/cannot_replay.h"
#include "models/kernels/random.h"
#include "models/kernels/share_out.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// ---- the kernel ----

// What backward needs beside the inputs and the result.
struct Call : torch::CustomClassHolder {
  Stretches of_q, of_k;
  Rotary rotary;
  bool is_causal = false;
  int64_t window = 0, kv_heads = 0;
  double scale = 0, soft_cap = 0;
  DropoutDecisions dropout;
  at::Tensor keys, log_sum_exp;
  bool is_recorded = false;
  // Where something depends on distances:
  Distances distances{};
  at::Tensor buckets;  // of each distance, int64
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

AttentionJob job_of(const AttentionStreams& x, const Call& call, const DistanceBias& bias) {
  return {.is_bf16 = is_bf16(x.q),
          .multiplies_bf16 = is_bf16(x.q) && can_multiply_bf16(),
          .is_causal = call.is_causal,
          .window = call.window,
          .queries = x.q.size(0),
          .heads = x.q.size(1),
          .kv_heads = x.k.size(1),
          .dim = x.q.size(2),
          .scale = static_cast<float>(call.scale),
          .soft_cap = static_cast<float>(call.soft_cap),
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

// The line of biases as the kernel takes it, and what it points to.
struct OrderedBias {
  at::Tensor line;
  DistanceBias job;

  OrderedBias(const at::Tensor& bias, const Call& call, bool is_backward)
      : line(in_order(bias, is_backward)) {
    const Distances& all = call.distances;
    job = {.zero = is_backward ? all.first + all.count - 1 : -all.first,
           .size = all.count + kLanes,
           .line = line.defined() ? line.const_data_ptr<float>() : nullptr};
  }
};

bool is_wanted(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

// What depends on distances, as autograd has it: a value for each distance [heads, distances] fp32,
// the positions of keys and those of queries.
struct OfDistances {
  at::Tensor line, keys, queries;
};

// Both kinds of positions as a pass takes them.
struct PositionsOfPass {
  PositionOperands keys, queries;

  // Tells the job of them.
  PositionsOfPass(const OfDistances& of, const Call& call, AttentionJob& job, bool is_backward) {
    const Distances& all = call.distances;
    if (of.keys.defined())
      keys = PositionOperands(of.keys, call.buckets, -all.first, job, is_backward);
    if (of.queries.defined())
      queries = PositionOperands(of.queries, call.buckets.flip(0), all.first + all.count - 1, job,
                                 is_backward);
    job.position_keys = keys.table(), job.position_queries = queries.table();
  }
  void add_gradients(const OfDistances& of, int64_t slots, AttentionJob& job) {
    if (is_wanted(of.keys)) keys.add_gradient(slots);
    if (is_wanted(of.queries)) queries.add_gradient(slots);
    job.position_keys = keys.table(), job.position_queries = queries.table();
  }
};

// Units of about eight query heads, which share a Philox call; fewer where that leaves threads
// without work, with as many units side by side as `groups` of sequences. Longest first.
std::vector<AttentionUnit> units_of(const AttentionJob& job, const Call& call, int64_t groups) {
  const int64_t sequences = call.of_q.ends.size(0) - 1, repeats = job.heads / job.kv_heads;
  int64_t kv_heads = std::max<int64_t>(1, 8 / repeats);
  while (kv_heads > 1 &&
         groups * ((job.kv_heads + kv_heads - 1) / kv_heads) < 2 * at::get_num_threads())
    kv_heads /= 2;
  std::vector<AttentionUnit> units;
  for (int64_t s = 0; s < sequences; ++s) {
    const SequenceRows q = rows_of_sequence(call.of_q, s), k = rows_of_sequence(call.of_k, s);
    if (k.length == 0 || (q.length == 0 && !call.is_recorded)) continue;
    for (int64_t h = 0; h < job.kv_heads; h += kv_heads) {
      units.push_back(
          {s, q.begin, q.length, k.begin, k.length, h, std::min(job.kv_heads, h + kv_heads)});
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

std::vector<AttentionUnit> units_of(const AttentionJob& job, const Call& call) {
  return units_of(job, call, call.of_q.ends.size(0) - 1);
}

// Few queries: a decoder's step. Parts of their keys are shared out, of one size whatever the
// threads and neighbours, so that these change no bits.
constexpr int64_t kFewQueries = 4, kKeysOfPart = 1024;

// What parts can do, in any sequence of these.
bool can_have_parts(const AttentionJob& job, const Call& call) {
  const bool has_own_heads = job.heads == job.kv_heads;  // a bias is of one head
  return !call.is_recorded && job.dropout.threshold == 0 && job.rotary.pairs == 0 &&
         (!job.bias.exists() || has_own_heads) && !job.position_keys.exists() &&
         !job.position_queries.exists();
}

bool has_few_queries(const AttentionJob& job, const AttentionUnit& unit) {
  return unit.q_length <= kFewQueries && unit.q_length * (job.heads / job.kv_heads) <= kMostFewRows;
}

// Keys that at least one of the unit's queries sees.
std::pair<int64_t, int64_t> keys_seen(const AttentionJob& job, const AttentionUnit& unit) {
  const int64_t first = unit.k_length - unit.q_length;  // position of the first query
  const bool is_windowed = job.window > 0;
  return {is_windowed ? std::max<int64_t>(0, first - job.window) : 0, unit.k_length};
}

class Parts {
 public:
  // Takes the units with few queries out of `units`.
  Parts(const AttentionJob& job, std::vector<AttentionUnit>& units) : job_(job) {
    std::erase_if(units, [&](const AttentionUnit& unit) {
      if (!has_few_queries(job, unit)) return false;
      for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h) add(unit, h);
      return true;
    });
    results_ = at::empty({floats_}, at::kFloat);
    int64_t at = 0;
    for (AttentionPart& part : parts_) {
      part.result = results_.mutable_data_ptr<float>() + at;
      at += floats_of(part.unit);
    }
  }

  int64_t size() const { return static_cast<int64_t>(parts_.size()); }
  void run(int64_t i) const { attention_part(job_, parts_[static_cast<size_t>(i)]); }
  void join() const {
    at::parallel_for(0, static_cast<int64_t>(begins_.size()), 16, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const bool is_last = i + 1 == static_cast<int64_t>(begins_.size());
        const size_t begin = begins_[static_cast<size_t>(i)],
                     end = is_last ? parts_.size() : begins_[static_cast<size_t>(i) + 1];
        attention_join(job_, &parts_[begin], static_cast<int64_t>(end - begin));
      }
    });
  }

 private:
  int64_t floats_of(const AttentionUnit& unit) const {
    return few_floats(unit.q_length * (job_.heads / job_.kv_heads), job_.dim);
  }

  void add(AttentionUnit unit, int64_t kv_head) {
    unit.kv_begin = kv_head, unit.kv_end = kv_head + 1;
    begins_.push_back(parts_.size());
    const auto [seen, end] = keys_seen(job_, unit);
    for (int64_t at = seen / kKeysOfPart * kKeysOfPart; at < end; at += kKeysOfPart) {
      parts_.push_back({unit, at, std::min(end, at + kKeysOfPart), nullptr});
      floats_ += floats_of(unit);
    }
  }

  const AttentionJob& job_;
  std::vector<AttentionPart> parts_;
  std::vector<size_t> begins_;  // of each sequence's and key/value head's
  int64_t floats_ = 0;
  at::Tensor results_;
};

void run_forward(const AttentionJob& job, const Call& call) {
  std::vector<AttentionUnit> units = units_of(job, call), none;
  const Parts parts(job, can_have_parts(job, call) ? units : none);
  const auto count = static_cast<int64_t>(units.size());
  share_out(count + parts.size(), [&](int64_t i) {
    i < count ? attention_forward(job, units[static_cast<size_t>(i)]) : parts.run(i - count);
  });
  parts.join();
}

void run_backward(const AttentionJob& job, const Call& call) {
  const std::vector<AttentionUnit> units = units_of(job, call);
  share_out(static_cast<int64_t>(units.size()),
            [&](int64_t i) { attention_backward(job, units[static_cast<size_t>(i)]); });
}

// Sequences that follow each other share a slot, of which a head is one thread's.
void run_backward_in_slots(const AttentionJob& job, const Call& call, int64_t slots) {
  std::vector<AttentionUnit> units = units_of(job, call, slots);
  const int64_t keys = call.of_k.ends[-1].item<int32_t>();  // and room for more
  for (AttentionUnit& unit : units) unit.slot = unit.k_begin * slots / keys;
  const auto place = [](const AttentionUnit& unit) {
    return std::tuple(unit.slot, unit.kv_begin, unit.sequence);
  };
  std::sort(units.begin(), units.end(),
            [&](const AttentionUnit& a, const AttentionUnit& b) { return place(a) < place(b); });
  std::vector<size_t> ends;
  for (size_t i = 1; i <= units.size(); ++i) {
    if (i == units.size() || units[i].slot != units[i - 1].slot ||
        units[i].kv_begin != units[i - 1].kv_begin)
      ends.push_back(i);
  }
  share_out(static_cast<int64_t>(ends.size()), [&](int64_t i) {
    for (size_t unit = i == 0 ? 0 : ends[i - 1]; unit < ends[i]; ++unit)
      attention_backward(job, units[unit]);
  });
}

at::Tensor forward_of(const AttentionStreams& x, const OfDistances& of, Call& call) {
  at::Tensor out = at::empty(x.q.sizes(), x.q.options());
  const OrderedBias ordered(of.line, call, /*is_backward=*/false);
  AttentionJob job = job_of(x, call, ordered.job);
  const PositionsOfPass positions(of, call, job, /*is_backward=*/false);
  job.out = out.mutable_data_ptr();
  if (call.is_recorded) {
    call.log_sum_exp = at::empty({x.q.size(1), x.q.size(0)}, x.q.options().dtype(at::kFloat));
    job.log_sum_exp = call.log_sum_exp.mutable_data_ptr<float>();
  }
  run_forward(job, call);
  return out;
}

// Where the gradient of the line of biases is added up, by sequence.
class LineGradient {
 public:
  LineGradient(const at::Tensor& line, const Call& call, DistanceBias& job) {
    if (!is_wanted(line)) return;
    lines_ = at::zeros({call.of_q.ends.size(0) - 1, line.size(0), job.size});
    job.dline = lines_.mutable_data_ptr<float>();
  }

  // One after the other, so that the sums do not depend on threads.
  at::Tensor sum(const Call& call) const {
    if (!lines_.defined()) return {};
    at::Tensor sum = at::zeros({lines_.size(1), lines_.size(2)});
    for (int64_t s = 0; s < lines_.size(0); ++s) sum.add_(lines_[s]);
    return sum.slice(1, 0, call.distances.count).flip(1).mul_(call.dropout.scale);
  }

 private:
  at::Tensor lines_;
};

int64_t slots_of(const OfDistances& of, const Call& call) {
  if (!is_wanted(of.keys) && !is_wanted(of.queries)) return 0;
  return PositionOperands::most_slots(call.distances.count, call.of_k.ends[-1].item<int32_t>());
}

// Writes the gradients of q, k and v, like these but for the distance of rows; returns those of
// what depends on distances.
OfDistances backward_of(const AttentionStreams& x, const OfDistances& of, const at::Tensor& out,
                        const at::Tensor& gradient, const AttentionStreams& gradients, Call& call) {
  const at::Tensor grad = gradient.contiguous();
  const OrderedBias ordered(of.line, call, /*is_backward=*/true);
  AttentionJob job = job_of(x, call, ordered.job);
  const LineGradient line(of.line, call, job.bias);
  PositionsOfPass positions(of, call, job, /*is_backward=*/true);
  const int64_t slots = slots_of(of, call);
  if (slots > 0) positions.add_gradients(of, slots, job);
  job.out = out.data_ptr();
  job.log_sum_exp = call.log_sum_exp.mutable_data_ptr<float>();
  job.grad = grad.const_data_ptr();
  job.dq = gradients.q.mutable_data_ptr();
  job.dk = gradients.k.mutable_data_ptr();
  job.dv = gradients.v.mutable_data_ptr();
  job.dq_row = gradients.q.stride(0);
  job.dkv_row = gradients.k.stride(0);
  slots > 0 ? run_backward_in_slots(job, call, slots) : run_backward(job, call);
  const double factor = call.scale * call.dropout.scale;
  return {line.sum(call), positions.keys.gradient(factor), positions.queries.gradient(factor)};
}

// Inputs are q, k and v, or all three joined in the first; then what depends on distances.
struct Attention : torch::autograd::Function<Attention> {
  static Variable forward(AutogradContext* context, const Variable& q, const MaybeTensor& k,
                          const MaybeTensor& v, const MaybeTensor& line,
                          const MaybeTensor& position_keys, const MaybeTensor& position_queries,
                          const CallPtr& call) {
    variable_list saved;
    saved.reserve(7);
    saved.push_back(q);
    for (const MaybeTensor& x : {k, v, line, position_keys, position_queries})
      saved.push_back(tensor_or_undefined(x));
    const at::Tensor out = forward_of(streams(saved, *call), of_distances(saved), *call);
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
    const bool has_room = call->of_k.lengths.defined();  // rows that nobody writes
    for (size_t i = 0; i < result.size(); ++i)
      if (saved[i].defined())
        result[i] = has_room ? at::zeros(saved[i].sizes(), saved[i].options())
                             : at::empty(saved[i].sizes(), saved[i].options());
    const OfDistances of = backward_of(streams(saved, *call), of_distances(saved), saved.back(),
                                       gradients[0], streams(result, *call), *call);
    result.insert(result.end(), {of.line, of.keys, of.queries, at::Tensor()});
    return result;
  }

  static AttentionStreams streams(const variable_list& inputs, const Call& call) {
    if (!inputs[1].defined()) return attention_parts(inputs[0], call.kv_heads);
    return {inputs[0], inputs[1], inputs[2]};
  }
  static OfDistances of_distances(const variable_list& inputs) {
    return {inputs[3], inputs[4], inputs[5]};
  }
};

// Tells `call` of distances, where something depends on them.
OfDistances of_distances(const AttentionInputs& inputs, Call& call) {
  if (!has_distances(inputs)) return {};
  call.distances = attention_distances(inputs);
  call.buckets = bucket_table(inputs);
  const auto dense = [](const at::Tensor& x) { return x.defined() ? with_dense_heads(x) : x; };
  return {inputs.bias.defined() ? inputs.bias.to(at::kFloat).index_select(1, call.buckets)
                                : inputs.bias,
          dense(inputs.position_keys), dense(inputs.position_queries)};
}

CallPtr call_of(const AttentionInputs& inputs, const AttentionStreams& x,
                const AttentionOptions& options) {
  CallPtr call = c10::make_intrusive<Call>();
  call->of_q = inputs.of_q;
  call->of_k = attention_keys(inputs);
  call->rotary = inputs.rotary;
  call->is_causal = options.is_causal;
  call->window = options.window;
  call->kv_heads = x.k.size(1);
  call->scale = attention_scale(options, x.q.size(2));
  call->soft_cap = options.soft_cap;
  call->dropout = dropout_decisions(options.dropout, options.seed, options.site);
  if (call->dropout.threshold > 0) call->keys = options.keys.contiguous();
  call->is_recorded =
      is_recorded({x.q, x.k, x.v, inputs.bias, inputs.position_keys, inputs.position_queries});
  return call;
}

// ---- a GPU ----

bool has_flash(const AttentionInputs& inputs, const AttentionOptions& options,
               const at::Tensor& q) {
  return q.is_cuda() && is_bf16(q) && q.size(2) % 8 == 0 && q.size(2) <= 256 &&
         options.soft_cap == 0 && !has_distances(inputs);
}

// Positions of the rows of sequences with these ends, of which the first is at `position` [S].
at::Tensor positions_of(const at::Tensor& ends, const at::Tensor& position, int64_t rows) {
  const at::Tensor first = ends.slice(0, 0, -1) - position;
  return at::arange(rows, ends.options().dtype(at::kLong)) -
         first.repeat_interleave(ends.diff().to(at::kLong), 0, rows);
}

// Ends of the streams on the device, and of each sequence the keys in use where some are not.
struct PlacedEnds {
  at::Tensor q, k, keys;

  PlacedEnds(const AttentionInputs& inputs, at::Device device) {
    const Stretches& of_k = attention_keys(inputs);
    const auto on_device = [&](const at::Tensor& y) { return y.to(device, /*non_blocking=*/true); };
    const auto ends_of = [&](const Stretches& of) {
      return of.placed.defined() ? of.placed : on_device(of.ends);
    };
    q = ends_of(inputs.of_q), k = ends_of(of_k);
    if (of_k.lengths.defined()) keys = on_device(of_k.lengths);
  }
};

// The streams with q and k turned.
AttentionStreams turned(AttentionStreams x, const Rotary& rotary, const PlacedEnds& ends) {
  if (!rotary.cosine.defined()) return x;
  const at::Tensor keys = ends.keys.defined() ? ends.keys : ends.k.diff();
  x.q = rotate(x.q, positions_of(ends.q, keys - ends.q.diff(), x.q.size(0)), rotary);
  // Rows that are not in use may stand beyond the last position.
  const at::Tensor of_keys = positions_of(ends.k, at::zeros_like(keys), x.k.size(0));
  x.k = rotate(x.k, of_keys.clamp_max(rotary.cosine.size(0) - 1), rotary);
  return x;
}

at::Tensor flash_attention(const AttentionInputs& inputs, const AttentionStreams& streams,
                           const AttentionOptions& options) {
  const Stretches& of_k = attention_keys(inputs);
  const PlacedEnds ends(inputs, streams.q.device());
  const AttentionStreams x = turned(streams, inputs.rotary, ends);
  if (options.dropout > 0 && !options.is_replayed)
    start_generator(x.q.device(), options.seed, options.drawn, options.site);
  const std::optional<int64_t> window =
      options.window > 0 ? std::optional<int64_t>(options.window) : std::nullopt;
  return std::get<0>(at::_flash_attention_forward(
      with_dense_heads(x.q), with_dense_heads(x.k), with_dense_heads(x.v), ends.q, ends.k,
      inputs.of_q.longest, of_k.longest, options.dropout, options.is_causal,
      /*return_debug_mask=*/false, attention_scale(options, x.q.size(2)), window, window,
      if_defined(ends.keys)));
}

// ATen's memory-efficient attention takes fp32, of which flash attention knows nothing. Causal only
// where each sequence has as many keys as queries.
bool has_efficient(const AttentionInputs& inputs, const AttentionOptions& options,
                   const at::Tensor& q) {
  return q.is_cuda() && q.scalar_type() == at::kFloat && q.size(2) % 4 == 0 &&
         options.soft_cap == 0 && options.window == 0 && !has_distances(inputs) &&
         !inputs.of_k.ends.defined();
}

at::Tensor efficient_attention(const AttentionInputs& inputs, const AttentionStreams& streams,
                               const AttentionOptions& options) {
  constexpr int64_t kAll = 0, kCausal = 1;  // its kinds of masks
  const PlacedEnds ends(inputs, streams.q.device());
  const AttentionStreams x = turned(streams, inputs.rotary, ends);
  const int64_t repeats = x.q.size(1) / x.k.size(1);
  const auto of_all_heads = [&](const at::Tensor& y) {
    return with_dense_heads(repeats == 1 ? y : y.repeat_interleave(repeats, 1)).unsqueeze(0);
  };
  if (options.dropout > 0 && !options.is_replayed)
    start_generator(x.q.device(), options.seed, options.drawn, options.site);
  const auto result = at::_efficient_attention_forward(
      with_dense_heads(x.q).unsqueeze(0), of_all_heads(x.k), of_all_heads(x.v), /*bias=*/{}, ends.q,
      ends.k, inputs.of_q.longest, inputs.of_q.longest, options.dropout,
      options.is_causal ? kCausal : kAll, /*compute_log_sumexp=*/is_recorded({x.q, x.k, x.v}),
      attention_scale(options, x.q.size(2)));
  return std::get<0>(result).squeeze(0);
}

at::Tensor attention_there(const AttentionInputs& inputs, const AttentionStreams& x,
                           const AttentionOptions& options) {
  if (x.q.size(0) == 0) return at::zeros_like(x.q);
  if (has_flash(inputs, options, x.q)) return flash_attention(inputs, x, options);
  if (has_efficient(inputs, options, x.q)) return efficient_attention(inputs, x, options);
  if (options.is_replayed)
    throw CannotReplay("its attention is composed by the lengths of a batch's sequences");
  return attention_padded(inputs, options);
}

}  // namespace

at::Tensor attention(const AttentionInputs& inputs, const AttentionOptions& options) {
  const AttentionStreams x = attention_streams(inputs);
  check_attention(inputs, x, options);
  if (x.q.is_cuda()) return attention_there(inputs, x, options);
  if (!has_kernel(x.q)) return attention_reference(inputs, options);
  const CallPtr call = call_of(inputs, x, options);
  const OfDistances of = of_distances(inputs, *call);
  const bool is_joined = inputs.joined.defined();
  if (!call->is_recorded) {
    const AttentionStreams dense =
        is_joined
            ? attention_parts(inputs.joined.contiguous(), call->kv_heads)
            : AttentionStreams{with_dense_heads(x.q), with_dense_heads(x.k), with_dense_heads(x.v)};
    return forward_of(dense, of, *call);
  }
  const auto apart = [&](const at::Tensor& part) {
    return is_joined ? MaybeTensor() : MaybeTensor(with_dense_heads(part));
  };
  return Attention::apply(is_joined ? inputs.joined.contiguous() : with_dense_heads(x.q),
                          apart(x.k), apart(x.v), if_defined(of.line), if_defined(of.keys),
                          if_defined(of.queries), call);
}

}  // namespace hone::kernels
