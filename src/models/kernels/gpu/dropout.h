// Dropout on a GPU: the decisions of the CPU's kernel (kernels/dropout.h).
#pragma once

#include "models/kernels/dropout_decisions.h"
#include "models/kernels/gpu/launcher.h"

namespace hone::kernels::gpu {

bool has_dropout(const at::Tensor& x);  // fp32 or bf16, an even number of columns
// x [rows, columns], keys [rows] int64; `placed_seed` as DropoutOptions has it. Not differentiable:
// for use inside of an autograd function.
at::Tensor dropout(const Launcher& on, const at::Tensor& x, const at::Tensor& keys,
                   const DropoutDecisions& decisions, const at::Tensor& placed_seed = {});

}  // namespace hone::kernels::gpu
