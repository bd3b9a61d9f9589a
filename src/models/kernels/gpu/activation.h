// Activations on a GPU (kernels/activation.h says what they compute).
#pragma once

#include "models/kernels/activation.h"
#include "models/kernels/gpu/launcher.h"

namespace hone::kernels::gpu {

// Whether there is a kernel for rows of `columns`: a multiple of 8.
bool has_activation(const at::Tensor& x, int64_t columns);
// x [N, F], bias [F] fp32 or undefined -> [N, F]. Differentiable in both.
at::Tensor bias_activation(const Launcher& on, const at::Tensor& x, const at::Tensor& bias,
                           Activation activation);
// x [N, 2 F] -> [N, F]. Differentiable.
at::Tensor gated_activation(const Launcher& on, const at::Tensor& x, Activation activation);

}  // namespace hone::kernels::gpu
