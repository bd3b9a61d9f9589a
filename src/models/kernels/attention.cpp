#include "models/kernels/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "models/kernels/random.h"

namespace hone::kernels {
namespace {

// One sequence: q [L, heads, dim], k, v [L, heads, dim] in the type of the arithmetic.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, double scale,
                  const AttentionOptions& options) {
  const int64_t length = q.size(0), heads = q.size(1);
  at::Tensor scores = at::matmul(q.transpose(0, 1) * scale, k.permute({1, 2, 0}));  // [heads, L, L]
  if (options.is_causal) {
    const at::Tensor future = at::ones({length, length}, q.options().dtype(at::kBool)).triu(1);
    scores = scores.masked_fill(future, -INFINITY);
  }
  at::Tensor weights = at::softmax(scores, -1);
  if (options.dropout > 0) {
    const at::Tensor keep = attention_keep_mask(keys, heads, length, options.dropout, options.seed, options.site);
    weights = weights * (keep * dropout_scale(options.dropout)).to(weights.scalar_type());
  }
  return at::matmul(weights, v.transpose(0, 1)).transpose(0, 1);
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& cu_seqlens, int64_t max_len,
                               const AttentionOptions& options) {
  TORCH_CHECK(options.dropout == 0 || options.keys.defined(), "[attention] expected keys where dropout > 0");
  const at::ScalarType type = q.scalar_type() == at::kBFloat16 ? at::kFloat : q.scalar_type();
  const int64_t repeats = q.size(1) / k.size(1);
  const double scale = options.scale == 0 ? 1 / std::sqrt(static_cast<double>(q.size(2))) : options.scale;
  const at::Tensor starts = cu_seqlens.cpu();
  const int32_t* start = starts.const_data_ptr<int32_t>();
  std::vector<at::Tensor> outputs;
  for (int64_t s = 0; s + 1 < starts.size(0); ++s) {
    if (start[s] == start[s + 1]) continue;
    const auto rows = [&](const at::Tensor& x) { return x.slice(0, start[s], start[s + 1]).to(type); };
    const auto expanded = [&](const at::Tensor& x) { return repeats == 1 ? rows(x) : rows(x).repeat_interleave(repeats, 1); };
    const at::Tensor keys = options.keys.defined() ? options.keys.slice(0, start[s], start[s + 1]) : at::Tensor();
    outputs.push_back(attend(rows(q), expanded(k), expanded(v), keys, scale, options));
  }
  return outputs.empty() ? at::zeros_like(q) : at::cat(outputs).to(q.scalar_type());
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& cu_seqlens, int64_t max_len,
                     const AttentionOptions& options) {
  return attention_reference(q, k, v, cu_seqlens, max_len, options);
}

}  // namespace hone::kernels
