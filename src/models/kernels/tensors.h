// What the kernels' tensor sides share: which tensors the SIMD code takes, and dropout parameters
// kept for backward.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "models/kernels/dropout_decisions.h"

namespace hone::kernels {

inline bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }
// fp32 and bf16 on the CPU; everything else takes the reference composed of ATen operations.
inline bool has_kernel(const at::Tensor& x) {
  return x.is_cpu() && (is_bf16(x) || x.scalar_type() == at::kFloat);
}
// Rows per task so that a task is worth waking a thread for.
inline int64_t row_grain(int64_t columns) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns));
}

// Whether autograd will want a backward pass of a function of these (undefined ones count for
// nothing).
inline bool is_recorded(std::initializer_list<at::Tensor> inputs) {
  return at::GradMode::is_enabled() &&
         std::any_of(inputs.begin(), inputs.end(),
                     [](const at::Tensor& x) { return x.defined() && x.requires_grad(); });
}

// An argument of Function::apply that may be absent: autograd takes no undefined tensor there.
using MaybeTensor = std::optional<at::Tensor>;
inline MaybeTensor if_defined(const at::Tensor& x) {
  return x.defined() ? MaybeTensor(x) : std::nullopt;
}
inline at::Tensor tensor_or_undefined(const MaybeTensor& x) { return x.value_or(at::Tensor()); }

inline void keep_decisions(torch::autograd::AutogradContext* context,
                           const DropoutDecisions& decisions) {
  context->saved_data["seed"] = static_cast<int64_t>(decisions.seed);
  context->saved_data["site"] = static_cast<int64_t>(decisions.site);
  context->saved_data["threshold"] = static_cast<int64_t>(decisions.threshold);
  context->saved_data["scale"] = static_cast<double>(decisions.scale);
}
inline DropoutDecisions kept_decisions(torch::autograd::AutogradContext* context) {
  auto& saved = context->saved_data;
  return {.seed = static_cast<uint64_t>(saved["seed"].toInt()),
          .site = static_cast<uint32_t>(saved["site"].toInt()),
          .threshold = static_cast<uint32_t>(saved["threshold"].toInt()),
          .scale = static_cast<float>(saved["scale"].toDouble())};
}

}  // namespace hone::kernels
