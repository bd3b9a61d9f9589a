// A learned vector for each bucket of the distance between two tokens, which all layers share
// (DeBERTa, He et al. 2020, https://arxiv.org/abs/2006.03654).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/kernels/attention.h"
#include "models/layers/norm.h"
#include "models/layers/rows.h"

namespace hone {

struct RelativePositionsOptions {
  int64_t buckets = 0, hidden = 0;
  kernels::BucketOf bucket_of;  // falls, or stays, as the distance grows
  bool has_norm = false;
  double norm_eps = 1e-7, dropout = 0.1;
};

class RelativePositionsImpl : public torch::nn::Module {
 public:
  explicit RelativePositionsImpl(const RelativePositionsOptions& options);

  // Of the buckets that the distances of a batch reach.
  struct Reached {
    at::Tensor vectors;           // [buckets reached, hidden] fp32: dropout(norm(table))
    Rows rows;                    // theirs
    kernels::BucketOf bucket_of;  // a distance to one of them
  };
  // At the place of `rows`, which says where dropout is.
  Reached reached_by(const Rows& rows);

 private:
  RelativePositionsOptions options_;
  at::Tensor table_;  // [buckets, hidden]
  LayerNorm norm_{nullptr};
};
TORCH_MODULE(RelativePositions);

}  // namespace hone
