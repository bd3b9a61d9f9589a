#include "models/layers/layer_drop.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <vector>

namespace hone {
namespace {

// The first row of each sample [B], which stands for it, and the number of its rows [B].
struct SampleRows {
  at::Tensor first, count;
};

SampleRows sample_rows(const Packed& tokens) {
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  std::vector<int64_t> first, count;
  for (int64_t sample = 0; sample < tokens.samples(); ++sample) {
    first.push_back(ends[tokens.first_sequence(sample)]);
    count.push_back(ends[tokens.first_sequence(sample + 1)] - first.back());
  }
  return {at::tensor(first, at::kLong), at::tensor(count, at::kLong)};
}

}  // namespace

at::Tensor after_layer_drop(const at::Tensor& in, const at::Tensor& out, const Rows& rows) {
  const Packed& tokens = rows.tokens();
  if (tokens.layer_drop == 0 || !rows.is_training()) return out;
  const SampleRows samples = sample_rows(tokens);
  kernels::DropoutOptions options = rows.dropout(DropoutPlace::kLayer, tokens.layer_drop);
  options.keys = tokens.keys.cpu().index_select(0, samples.first);
  const at::Tensor of_sample = kernels::dropout_mask(tokens.samples(), 1, options).squeeze(1).gt(0);
  const at::Tensor of_row = of_sample.repeat_interleave(samples.count).to(in.device());
  return at::where(rows.of(of_row).unsqueeze(1), out, rows.of(in));
}

}  // namespace hone
