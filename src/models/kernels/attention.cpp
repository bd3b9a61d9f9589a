#include "models/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

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

// ---- the definition ----

// One sequence: q, k, v [L, heads, dim] in the type of the arithmetic.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& keys, double scale, const AttentionOptions& options) {
  const int64_t length = q.size(0), heads = q.size(1);
  at::Tensor scores = at::matmul(q.transpose(0, 1) * scale, k.permute({1, 2, 0}));  // [heads, L, L]
  if (options.is_causal) {
    const at::Tensor future = at::ones({length, length}, q.options().dtype(at::kBool)).triu(1);
    scores = scores.masked_fill(future, -INFINITY);
  }
  at::Tensor weights = at::softmax(scores, -1);
  if (options.dropout > 0 && q.is_cuda()) {
    weights = std::get<0>(at::native_dropout(weights, options.dropout, /*train=*/true));
  } else if (options.dropout > 0) {
    const at::Tensor keep =
        attention_keep_mask(keys, heads, length, options.dropout, options.seed, options.site);
    weights = weights * (keep * dropout_scale(options.dropout)).to(weights.scalar_type());
  }
  return at::matmul(weights, v.transpose(0, 1)).transpose(0, 1);
}

double scale_of(const AttentionOptions& options, int64_t dim) {
  return options.scale == 0 ? 1 / std::sqrt(static_cast<double>(dim)) : options.scale;
}

// ---- the kernel's job ----

HeadRows head_rows_of(const at::Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1)};
}
at::Tensor with_dense_heads(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

AttentionJob job_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const at::Tensor& keys, bool is_causal, double scale,
                    const DropoutDecisions& decisions) {
  return {.is_bf16 = is_bf16(q),
          .multiplies_bf16 = is_bf16(q) && can_multiply_bf16(),
          .is_causal = is_causal,
          .tokens = q.size(0),
          .heads = q.size(1),
          .kv_heads = k.size(1),
          .dim = q.size(2),
          .scale = static_cast<float>(scale),
          .dropout = decisions,
          .keys = keys.defined() ? keys.const_data_ptr<int64_t>() : nullptr,
          .q = head_rows_of(q),
          .k = head_rows_of(k),
          .v = head_rows_of(v)};
}

// Units of about eight query heads, which share a Philox call; fewer where that leaves threads
// without work. Longest first.
std::vector<AttentionUnit> units_of(const AttentionJob& job, const at::Tensor& cu_seqlens) {
  const int32_t* start = cu_seqlens.const_data_ptr<int32_t>();
  const int64_t sequences = cu_seqlens.size(0) - 1, repeats = job.heads / job.kv_heads;
  int64_t kv_heads = std::max<int64_t>(1, 8 / repeats);
  while (kv_heads > 1 &&
         sequences * ((job.kv_heads + kv_heads - 1) / kv_heads) < 2 * at::get_num_threads())
    kv_heads /= 2;
  std::vector<AttentionUnit> units;
  for (int64_t s = 0; s < sequences; ++s) {
    if (start[s] == start[s + 1]) continue;
    for (int64_t h = 0; h < job.kv_heads; h += kv_heads) {
      units.push_back({start[s], start[s + 1] - start[s], h, std::min(job.kv_heads, h + kv_heads)});
    }
  }
  const auto cost = [](const AttentionUnit& unit) {
    return unit.length * unit.length * (unit.kv_end - unit.kv_begin);
  };
  std::stable_sort(units.begin(), units.end(), [&](const AttentionUnit& a, const AttentionUnit& b) {
    return cost(a) > cost(b);
  });
  return units;
}

void run(void (*kernel)(const AttentionJob&, const AttentionUnit&), const AttentionJob& job,
         const at::Tensor& cu_seqlens) {
  const std::vector<AttentionUnit> units = units_of(job, cu_seqlens);
  share_out(static_cast<int64_t>(units.size()), [&](int64_t i) { kernel(job, units[i]); });
}

// What both forms of the input share. Forward saves `inputs` (q, k, v or all three in one) and
// `out`.
at::Tensor forward_of(AutogradContext* context, const variable_list& inputs, const at::Tensor& q,
                      const at::Tensor& k, const at::Tensor& v, const at::Tensor& cu_seqlens,
                      const at::Tensor& keys, bool is_causal, double scale,
                      const DropoutDecisions& decisions, bool recorded) {
  at::Tensor out = at::empty(q.sizes(), q.options()), log_sum_exp;
  AttentionJob job = job_of(q, k, v, keys, is_causal, scale, decisions);
  job.out = out.mutable_data_ptr();
  if (recorded) {
    log_sum_exp = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
    job.log_sum_exp = log_sum_exp.mutable_data_ptr<float>();
  }
  run(attention_forward, job, cu_seqlens);
  if (recorded) {
    variable_list saved = inputs;
    saved.push_back(out);
    context->save_for_backward(saved);
    context->saved_data["log_sum_exp"] = log_sum_exp;
    context->saved_data["cu_seqlens"] = cu_seqlens;
    context->saved_data["keys"] = keys;
    context->saved_data["is_causal"] = is_causal;
    context->saved_data["attention_scale"] = scale;
    keep_decisions(context, decisions);
  }
  return out;
}

// Writes dq, dk, dv: like q, k and v but for the distance of rows.
void backward_of(AutogradContext* context, const at::Tensor& gradient, const at::Tensor& q,
                 const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                 const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv) {
  auto& data = context->saved_data;
  const at::Tensor grad = gradient.contiguous(), keys = data["keys"].toTensor();
  at::Tensor log_sum_exp = data["log_sum_exp"].toTensor();
  AttentionJob job = job_of(q, k, v, keys, data["is_causal"].toBool(),
                            data["attention_scale"].toDouble(), kept_decisions(context));
  job.out = out.data_ptr();
  job.log_sum_exp = log_sum_exp.mutable_data_ptr<float>();
  job.grad = grad.const_data_ptr();
  job.dq = dq.mutable_data_ptr();
  job.dk = dk.mutable_data_ptr();
  job.dv = dv.mutable_data_ptr();
  job.dq_row = dq.stride(0);
  job.dkv_row = dk.stride(0);
  run(attention_backward, job, data["cu_seqlens"].toTensor());
}

struct Attention : torch::autograd::Function<Attention> {
  static Variable forward(AutogradContext* context, const Variable& q, const Variable& k,
                          const Variable& v, const at::Tensor& cu_seqlens, const MaybeTensor& keys,
                          bool is_causal, double scale, const DropoutDecisions& decisions,
                          bool recorded) {
    return forward_of(context, {q, k, v}, q, k, v, cu_seqlens, tensor_or_undefined(keys), is_causal,
                      scale, decisions, recorded);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    variable_list result(9);
    result[0] = at::empty(q.sizes(), q.options()), result[1] = at::empty(k.sizes(), k.options()),
    result[2] = at::empty(v.sizes(), v.options());
    backward_of(context, gradients[0], q, k, v, saved[3], result[0], result[1], result[2]);
    return result;
  }
};

// q, k and v of one product: their gradients go into one tensor too.
struct JoinedAttention : torch::autograd::Function<JoinedAttention> {
  static Variable forward(AutogradContext* context, const Variable& qkv,
                          const at::Tensor& cu_seqlens, const MaybeTensor& keys, bool is_causal,
                          double scale, const DropoutDecisions& decisions, bool recorded) {
    return forward_of(context, {qkv}, qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2),
                      cu_seqlens, tensor_or_undefined(keys), is_causal, scale, decisions, recorded);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& qkv = saved[0];
    const at::Tensor dqkv = at::empty(qkv.sizes(), qkv.options());
    backward_of(context, gradients[0], qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2),
                saved[1], dqkv.select(1, 0), dqkv.select(1, 1), dqkv.select(1, 2));
    variable_list result(7);
    result[0] = dqkv;
    return result;
  }
};

void check_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& cu_seqlens, const AttentionOptions& options) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                  q.size(2) == k.size(2),
              "[attention] expected q [N, heads, dim] and k, v [N, kv_heads, dim], received ",
              q.sizes(), ", ", k.sizes(), ", ", v.sizes());
  TORCH_CHECK(k.size(1) > 0 && q.size(1) % k.size(1) == 0 && q.size(1) <= kMaxAttentionHeads,
              "[attention] ", q.size(1), " heads do not share ", k.size(1),
              " key/value heads evenly");
  TORCH_CHECK(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
              "[attention] q, k and v differ in type");
  TORCH_CHECK(
      cu_seqlens.dim() == 1 && cu_seqlens.size(0) > 0 && cu_seqlens.scalar_type() == at::kInt,
      "[attention] expected cu_seqlens [S + 1] int32");
  TORCH_CHECK(options.scale >= 0, "[attention] expected scale >= 0, received ", options.scale);
  TORCH_CHECK(options.dropout == 0 || (options.keys.defined() && options.keys.size(0) == q.size(0)),
              "[attention] expected keys [", q.size(0), "] where dropout > 0");
}

bool has_flash(const at::Tensor& q) {
  return q.is_cuda() && is_bf16(q) && q.size(2) % 8 == 0 && q.size(2) <= 256;
}

at::Tensor flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const at::Tensor& cu_seqlens, int64_t max_len,
                           const AttentionOptions& options) {
  const at::Tensor ends = cu_seqlens.to(q.device(), /*non_blocking=*/true);
  if (options.dropout > 0) start_generator(q.device(), options.seed, options.site);
  return std::get<0>(
      at::_flash_attention_forward(with_dense_heads(q), with_dense_heads(k), with_dense_heads(v),
                                   ends, ends, max_len, max_len, options.dropout, options.is_causal,
                                   /*return_debug_mask=*/false, scale_of(options, q.size(2))));
}

// The decisions of the kernel, and the rows' keys where there are any to make.
std::pair<DropoutDecisions, at::Tensor> dropout_of(const AttentionOptions& options,
                                                   int64_t max_len) {
  TORCH_CHECK(max_len < kMaxAttentionPositions, "[attention] sequences of ", max_len,
              " tokens are too long for dropout's counters");
  const DropoutDecisions decisions = dropout_decisions(options.dropout, options.seed, options.site);
  return {decisions, decisions.threshold > 0 ? options.keys.contiguous() : at::Tensor()};
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const at::Tensor& cu_seqlens, int64_t max_len,
                               const AttentionOptions& options) {
  check_inputs(q, k, v, cu_seqlens, options);
  const at::ScalarType type = is_bf16(q) ? at::kFloat : q.scalar_type();
  const int64_t repeats = q.size(1) / k.size(1);
  const at::Tensor starts = cu_seqlens.cpu();
  if (options.dropout > 0 && q.is_cuda()) start_generator(q.device(), options.seed, options.site);
  const int32_t* start = starts.const_data_ptr<int32_t>();
  std::vector<at::Tensor> outputs;
  for (int64_t s = 0; s + 1 < starts.size(0); ++s) {
    if (start[s] == start[s + 1]) continue;
    const auto rows = [&](const at::Tensor& x) {
      return x.slice(0, start[s], start[s + 1]).to(type);
    };
    const auto expanded = [&](const at::Tensor& x) {
      return repeats == 1 ? rows(x) : rows(x).repeat_interleave(repeats, 1);
    };
    const at::Tensor keys =
        options.keys.defined() ? options.keys.slice(0, start[s], start[s + 1]) : at::Tensor();
    outputs.push_back(
        attend(rows(q), expanded(k), expanded(v), keys, scale_of(options, q.size(2)), options));
  }
  return outputs.empty() ? at::zeros_like(q) : at::cat(outputs).to(q.scalar_type());
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& cu_seqlens, int64_t max_len,
                     const AttentionOptions& options) {
  check_inputs(q, k, v, cu_seqlens, options);
  if (has_flash(q)) return flash_attention(q, k, v, cu_seqlens, max_len, options);
  if (!has_kernel(q)) return attention_reference(q, k, v, cu_seqlens, max_len, options);
  const auto [decisions, keys] = dropout_of(options, max_len);
  return Attention::apply(with_dense_heads(q), with_dense_heads(k), with_dense_heads(v),
                          cu_seqlens.contiguous(), if_defined(keys), options.is_causal,
                          scale_of(options, q.size(2)), decisions, is_recorded({q, k, v}));
}

at::Tensor attention(const at::Tensor& qkv, const at::Tensor& cu_seqlens, int64_t max_len,
                     const AttentionOptions& options) {
  TORCH_CHECK(qkv.dim() == 4 && qkv.size(1) == 3,
              "[attention] expected qkv [N, 3, heads, dim], received ", qkv.sizes());
  const at::Tensor q = qkv.select(1, 0), k = qkv.select(1, 1), v = qkv.select(1, 2);
  if (!has_kernel(qkv)) return attention(q, k, v, cu_seqlens, max_len, options);
  check_inputs(q, k, v, cu_seqlens, options);
  const auto [decisions, keys] = dropout_of(options, max_len);
  return JoinedAttention::apply(qkv.contiguous(), cu_seqlens.contiguous(), if_defined(keys),
                                options.is_causal, scale_of(options, q.size(2)), decisions,
                                is_recorded({qkv}));
}

}  // namespace hone::kernels
