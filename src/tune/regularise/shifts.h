// Shifts of word embeddings, sample by sample: what adversarial training and noise are made of.
//
// All norms are of one sample, over its tokens and streams, never of a batch: so the gradient of a
// step stays the sum of its samples' own, however it is split.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "tasks/pipeline.h"
#include "tune/regularise/regulariser.h"

namespace hone {

using Shifts = std::vector<at::Tensor>;  // one per stream, [N, width of the word embeddings] fp32

// Zeros, whose gradient is that of the word embeddings.
Shifts zero_shifts(const Batch& batch, int64_t width);
// Uniform in [-1, 1): a function of the step's seed and pass, the token's key and the column.
Shifts noise(const Batch& batch, int64_t width);
// The same values as leaves that want a gradient.
Shifts leaves(const Shifts& shifts);
// grad() of each; zeros where nothing reached it.
Shifts gradients(const Shifts& shifts);

Batch with_added(Batch batch, const Shifts& shifts);
// Moved as it is, but its gradients stop there: what is searched for by passes of its own must not
// reach the shift that others around it look for.
Batch with_fixed_shift(Batch batch);
at::Tensor tokens_of(const Batch& batch);                    // [B] fp64, in all streams
at::Tensor norms(const Batch& batch, const Shifts& shifts);  // [B] fp64
Shifts scaled(const Batch& batch, const Shifts& shifts, const at::Tensor& factors);  // [B]
// Each sample's with norm `length`; zeros stay where they are. Any norm that is a number is exact
// enough: factors beyond fp32 are never formed.
Shifts with_length(const Batch& batch, const Shifts& shifts, double length);
Shifts sum(const Shifts& a, const Shifts& b);

// The gradients of `moved` as steps of length `size`; samples without a gradient do not move.
// Throws NotFinite.
Shifts ascent(const Batch& batch, const Shifts& moved, double size);
// What is longer than `radius` is cut to it.
Shifts projected(const Batch& batch, const Shifts& shifts, double radius);

// While it lives, passes need no weight's gradient, only that of the embeddings.
class WeightsAtRest {
 public:
  explicit WeightsAtRest(const std::vector<Parameter>& parameters) : parameters_(parameters) {
    for (const Parameter& parameter : parameters_)
      were_trained_.push_back(parameter.value.requires_grad());
    for (const Parameter& parameter : parameters_)
      at::Tensor(parameter.value).requires_grad_(false);
  }
  ~WeightsAtRest() {
    for (size_t i = 0; i < parameters_.size(); ++i)
      at::Tensor(parameters_[i].value).requires_grad_(were_trained_[i]);
  }
  WeightsAtRest(const WeightsAtRest&) = delete;
  WeightsAtRest& operator=(const WeightsAtRest&) = delete;

 private:
  const std::vector<Parameter>& parameters_;
  std::vector<bool> were_trained_;  // one may lie within another
};

// `inner` at shifted embeddings; a number that is none is told to be there.
PassResult pass_at(const Pass& inner, const Batch& batch, const Shifts& shifts, const char* name);

}  // namespace hone
