// dropout + residual + LayerNorm or RMSNorm on a GPU (kernels/norm.h says what they compute).
#pragma once

#include "models/kernels/dropout_decisions.h"
#include "models/kernels/gpu/launcher.h"

namespace hone::kernels::gpu {

struct NormInputs {
  at::Tensor x = {}, residual = {};   // [N, H] fp32 or bf16; residual of x's type, or undefined
  at::Tensor weight = {}, bias = {};  // [H] fp32; bias may be undefined
  double eps = 0;
  bool centred = true;  // LayerNorm; else RMSNorm
  DropoutDecisions dropout = {};
  at::Tensor keys = {};         // [N] int64 where something is dropped
  at::Tensor placed_seed = {};  // as DropoutOptions has it
};

// Whether there is a kernel for these: an even H of at most 8,192.
bool has_norm(const NormInputs& inputs);
// [N, H] of x's type. Differentiable in x, residual, weight and bias.
at::Tensor norm(const Launcher& on, const NormInputs& inputs);

}  // namespace hone::kernels::gpu
