#include "tune/buckets.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <bit>

namespace hone {
namespace {

constexpr int64_t kLeastStep = 64, kStepsOfAPower = 8, kLeastLength = 64;

int64_t power_from(int64_t value) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(value)));
}

// A column of targets has a row for each token, or for each sample.
bool has_rows(const at::Tensor& target, const Packed& tokens) {
  return target.size(0) == tokens.tokens() || target.size(0) == tokens.sequences();
}

bool has_bucket(const Batch& batch) {
  if (batch.streams.size() != 1 || !batch.parts.empty() || batch.loss_scale != 1 || batch.mix != 1)
    return false;
  const Packed& tokens = batch.streams.front();
  const bool is_plain = !tokens.cu_samples.defined() && !tokens.features.defined() &&
                        !tokens.shift.defined() && !tokens.prompt.defined() &&
                        tokens.layer_drop == 0 && tokens.pass == 0;
  return is_plain && tokens.tokens() > 0 && tokens.tokens() <= kMostTokensOfABucket &&
         tokens.tokens() != tokens.sequences() &&  // whose rows a target has would not show
         std::all_of(batch.targets.begin(), batch.targets.end(),
                     [&](const auto& target) { return has_rows(target.second, tokens); });
}

at::Tensor with_rows(const at::Tensor& x, int64_t rows, double value) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] = rows;
  return at::cat({x, at::full(sizes, value, x.options())});
}

void fill(Batch& batch, int64_t filler) {
  Packed& tokens = batch.streams.front();
  for (auto& [name, target] : batch.targets)
    target = with_rows(target, target.size(0) == tokens.tokens() ? filler : 1, kNoTarget);
  for (at::Tensor* column : {&tokens.ids, &tokens.positions, &tokens.segments, &tokens.keys})
    *column = with_rows(*column, filler, 0);
  tokens.cu_seqlens = with_rows(tokens.cu_seqlens, 1, static_cast<double>(tokens.tokens()));
  tokens.max_len = std::max(tokens.max_len, filler);
}

}  // namespace

int64_t bucket_of(int64_t tokens) {
  const int64_t reached = power_from(tokens + 1) / 2,
                step = std::max(kLeastStep, reached / kStepsOfAPower);
  return (tokens + step - 1) / step * step;
}

Batch in_bucket(Batch batch) {
  if (!has_bucket(batch)) return batch;
  Packed& tokens = batch.streams.front();
  if (const int64_t filler = bucket_of(tokens.tokens()) - tokens.tokens(); filler > 0)
    fill(batch, filler);
  tokens.max_len = power_from(std::max(tokens.max_len, kLeastLength));
  tokens.placed_seed = at::tensor({static_cast<int64_t>(tokens.seed)}, at::kLong);
  return batch;
}

}  // namespace hone
