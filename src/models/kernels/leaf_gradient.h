// Gradients of large weights that a backward pass adds where they belong, instead of handing
// autograd a copy to add.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/autograd/variable.h>

namespace hone::kernels {

// Whether weight.grad() may be written in a backward function: only where that is what autograd
// would have done in the end, in a plain backward() to a leaf without hooks.
inline bool can_accumulate(const at::Tensor& weight) {
  if (!weight.is_leaf() || !weight.requires_grad() ||
      !torch::autograd::impl::hooks(weight).empty() ||
      torch::autograd::impl::post_acc_grad_hooks(weight) != nullptr)
    return false;
  const auto* targets = torch::autograd::get_current_graph_task_exec_info();
  if (targets != nullptr && !targets->empty()) return false;
  const at::Tensor& grad = weight.grad();
  return !grad.defined() ||
         (grad.is_contiguous() && grad.scalar_type() == at::kFloat && !grad.is_sparse());
}

}  // namespace hone::kernels
