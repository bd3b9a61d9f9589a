#include "models/kernels/attention_positions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/kernels/share_out.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

// Places of a head: a block may read beyond the last one, but less than two vectors.
int64_t places_with_room(int64_t places) { return padded(places + 2 * kLanes); }

}  // namespace

PositionOperands::PositionOperands(const at::Tensor& vectors, const at::Tensor& buckets,
                                   int64_t zero, const AttentionJob& job, bool is_backward)
    : vectors_(vectors), buckets_(buckets), zero_(zero), size_(places_with_room(buckets.size(0))) {
  const int64_t heads = vectors.size(1), width = padded(job.dim);
  const at::TensorOptions options =
      at::TensorOptions(job.multiplies_bf16 ? at::kBFloat16 : at::kFloat);
  operand_ = at::empty({heads, width, size_}, options);
  if (is_backward) rows_ = at::empty({heads, size_, width}, options);
  const int64_t *bucket = buckets.const_data_ptr<int64_t>(), count = buckets.size(0);
  const HeadRows from{vectors.const_data_ptr(), vectors.stride(0), vectors.stride(1)};
  const PositionTable to = table();
  share_out(heads,
            [&](int64_t head) { attention_pack_positions(job, from, bucket, count, head, to); });
}

PositionTable PositionOperands::table() const {
  PositionTable table;
  table.zero = zero_;
  table.size = size_;
  if (operand_.defined()) table.operand = operand_.data_ptr();
  if (rows_.defined()) table.rows = rows_.data_ptr();
  if (gradient_.defined()) table.gradient = gradient_.data_ptr<float>();
  return table;
}

int64_t PositionOperands::most_slots(int64_t places, int64_t keys) {
  constexpr int64_t kMost = 16;
  return std::clamp<int64_t>(keys / places_with_room(places), 1, kMost);
}

void PositionOperands::add_gradient(int64_t slots) {
  gradient_ = at::zeros({slots, operand_.size(0), operand_.size(1), size_}, at::kFloat);
}

at::Tensor PositionOperands::gradient(double factor) const {
  if (!gradient_.defined()) return {};
  at::Tensor sum = gradient_[0];
  for (int64_t slot = 1; slot < gradient_.size(0); ++slot) sum.add_(gradient_[slot]);
  const int64_t places = buckets_.size(0), dim = vectors_.size(2);
  const at::Tensor by_place =
      sum.permute({2, 0, 1}).slice(0, 0, places).slice(2, 0, dim).contiguous();
  at::Tensor result = at::zeros(vectors_.sizes(), at::kFloat);
  const int64_t columns = vectors_.size(1) * dim;
  for (int64_t place = 0; place < places; ++place) {
    const float* from = by_place.const_data_ptr<float>() + place * columns;
    float* to = result.data_ptr<float>() + buckets_.const_data_ptr<int64_t>()[place] * columns;
    for (int64_t c = 0; c < columns; ++c) to[c] += from[c];
  }
  return result.mul_(factor).to(vectors_.scalar_type());
}

}  // namespace hone::kernels
