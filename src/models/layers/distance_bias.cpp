#include "models/layers/distance_bias.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace hone {

// In fp32, as the reference computes it: a bucket begins where its rounding says.
kernels::BucketOf logarithmic_buckets(int64_t buckets, int64_t farthest) {
  const int64_t half = buckets / 2, exact = half / 2;
  const auto range = static_cast<float>(std::log(double(farthest) / double(exact)));
  return [=](int64_t distance) {
    const int64_t side = distance > 0 ? half : 0, far = std::abs(distance);
    if (far < exact) return side + far;
    const float share = std::log(float(far) / float(exact)) / range;
    return side + std::min(exact + int64_t(share * float(half - exact)), half - 1);
  };
}

DistanceBiasImpl::DistanceBiasImpl(int64_t buckets, int64_t heads, kernels::BucketOf bucket_of)
    : bucket_of_(std::move(bucket_of)) {
  weight = register_parameter("weight", at::zeros({buckets, heads}));
}

void DistanceBiasImpl::add_to(kernels::AttentionInputs& inputs) const {
  inputs.bias = weight.t();
  inputs.bucket_of = bucket_of_;
}

}  // namespace hone
