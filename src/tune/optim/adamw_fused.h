// AdamW through ATen's fused operation, for parameters on a GPU. It computes on the CPU too, which
// is how it is tested; there adamw_simd.h is faster, and knows tables of which few rows move.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "tune/optim/adamw.h"

namespace hone {

// Parameters of one step that decay and move alike, one entry each; all on one device.
struct FusedParameters {
  std::vector<at::Tensor> values, gradients, exp_avgs, exp_avg_sqs;
  std::vector<at::Tensor> shadows, shadowed;  // bf16 copies, and the values that they are of
};

// Step number `step`, counted from 1. The gradients are multiplied by `gradient_scale` in place.
void adamw_fused(const FusedParameters& parameters, const AdamWOptions& options, int64_t step,
                 double learning_rate, double gradient_scale, double weight_decay);

// Euclidean norm of all together. Waits for the device.
double norm_fused(const std::vector<at::Tensor>& gradients);

}  // namespace hone
