#include "models/layers/distance_bias.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace hone {

namespace {

// Of distances from 0 on. In fp32, as the reference computes it: a bucket begins where its rounding
// says.
kernels::BucketOf buckets_of_reach(int64_t buckets, int64_t farthest) {
  const int64_t exact = buckets / 2;
  const auto range = static_cast<float>(std::log(double(farthest) / double(exact)));
  return [=](int64_t far) {
    if (far < exact) return far;
    const float share = std::log(float(far) / float(exact)) / range;
    return std::min(exact + int64_t(share * float(buckets - exact)), buckets - 1);
  };
}

}  // namespace

kernels::BucketOf logarithmic_buckets(int64_t buckets, int64_t farthest) {
  const int64_t half = buckets / 2;
  return [half, reach = buckets_of_reach(half, farthest)](int64_t distance) {
    return (distance > 0 ? half : 0) + reach(std::abs(distance));
  };
}

kernels::BucketOf logarithmic_buckets_before(int64_t buckets, int64_t farthest) {
  return [reach = buckets_of_reach(buckets, farthest)](int64_t distance) {
    return reach(std::max<int64_t>(0, -distance));
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
