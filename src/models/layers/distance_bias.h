// A learned number for each head and each bucket of the distance between query and key, added to
// the scores of attention (Raffel et al. 2019, https://arxiv.org/abs/1910.10683). Layers may share
// it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/kernels/attention.h"

namespace hone {

// T5's and MPNet's buckets: half of them for keys after the query; of each half, half for one
// distance each, the others wider and wider up to `farthest`, which the last one has with all
// beyond. REQUIRES: an even number of buckets from 4 on; farthest > buckets / 4.
kernels::BucketOf logarithmic_buckets(int64_t buckets, int64_t farthest);
// The same of causal attention: all of them for keys before the query, or at its place. REQUIRES:
// at least 2 buckets; farthest > buckets / 2.
kernels::BucketOf logarithmic_buckets_before(int64_t buckets, int64_t farthest);

class DistanceBiasImpl : public torch::nn::Module {
 public:
  DistanceBiasImpl(int64_t buckets, int64_t heads, kernels::BucketOf bucket_of);

  void add_to(kernels::AttentionInputs& inputs) const;

  at::Tensor weight;  // [buckets, heads] fp32

 private:
  kernels::BucketOf bucket_of_;
};
TORCH_MODULE(DistanceBias);

}  // namespace hone
