#include "models/kernels/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "models/kernels/cross_entropy.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// A chunk's loss, and d loss / d logits by the kernel's own backward.
std::pair<double, at::Tensor> loss_and_gradient(const at::Tensor& logits, const at::Tensor& targets,
                                                const LinearCrossEntropyOptions& options,
                                                bool wants_gradient) {
  const at::AutoGradMode recorded(wants_gradient);
  const at::Tensor leaf = logits.detach().requires_grad_(wants_gradient);
  const at::Tensor loss =
      cross_entropy_sum(leaf, targets, options.ignore_index, options.label_smoothing);
  if (!wants_gradient) return {loss.item<double>(), {}};
  return {loss.item<double>(), torch::autograd::grad({loss}, {leaf})[0]};
}

// What a gradient is asked of.
struct Wanted {
  bool x = false, weight = false, bias = false;
  bool any() const { return x || weight || bias; }
};

at::Tensor product(const at::Tensor& x, const at::Tensor& operand, const at::Tensor& bias) {
  const at::Tensor y = at::mm(x, operand.t());
  return bias.defined() ? y.add_(bias) : y;
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const MaybeTensor& some_bias, const at::Tensor& operand,
                          const at::Tensor& targets, const LinearCrossEntropyOptions& options,
                          const Wanted& wanted) {
    const at::Tensor bias = tensor_or_undefined(some_bias);
    const at::Tensor rows =
        targets.ne(options.ignore_index).nonzero().squeeze(1);  // those with a target
    const at::Tensor taken = x.index_select(0, rows), aims = targets.index_select(0, rows);
    const at::Tensor dtaken = wanted.x ? at::empty_like(taken) : at::Tensor();
    at::Tensor dweight = wanted.weight ? at::zeros_like(weight) : at::Tensor(),
               dbias = wanted.bias ? at::zeros_like(bias) : at::Tensor();
    double sum = 0;
    for (int64_t begin = 0; begin < rows.size(0); begin += options.chunk_rows) {
      const int64_t count = std::min(options.chunk_rows, rows.size(0) - begin);
      const at::Tensor part = taken.narrow(0, begin, count);
      const auto [loss, dlogits] = loss_and_gradient(
          product(part, operand, bias), aims.narrow(0, begin, count), options, wanted.any());
      sum += loss;
      if (wanted.x) dtaken.narrow(0, begin, count).copy_(at::mm(dlogits, operand));
      if (wanted.weight && is_bf16(dlogits)) dweight += at::mm(dlogits.t(), part);
      if (wanted.weight && !is_bf16(dlogits)) dweight.addmm_(dlogits.t(), part);
      if (wanted.bias) dbias += dlogits.sum(0, /*keepdim=*/false, at::kFloat);
    }
    if (wanted.x) context->saved_data["dx"] = at::zeros_like(x).index_copy_(0, rows, dtaken);
    if (wanted.weight) context->saved_data["dweight"] = dweight;
    if (wanted.bias) context->saved_data["dbias"] = dbias;
    return at::scalar_tensor(sum, x.options().dtype(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list result(7);
    const auto scaled = [&](const char* name) {
      auto& saved = context->saved_data;
      TORCH_CHECK(saved.count(name) > 0,
                  "[linear_cross_entropy_sum] its gradient can be taken once");
      at::Tensor gradient = saved[name].toTensor();
      saved.erase(name);
      const float factor = gradients[0].item<float>();
      return factor == 1 ? gradient : gradient.mul_(factor);
    };
    if (context->needs_input_grad(0)) result[0] = scaled("dx");
    if (context->needs_input_grad(1)) result[1] = scaled("dweight");
    if (context->needs_input_grad(2)) result[2] = scaled("dbias");
    return result;
  }
};

}  // namespace

at::Tensor linear_cross_entropy_sum_reference(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, const at::Tensor& targets,
                                              const LinearCrossEntropyOptions& options) {
  const at::Tensor y = at::mm(x, weight.t());
  return at::cross_entropy_loss(bias.defined() ? y + bias : y, targets, {}, at::Reduction::Sum,
                                options.ignore_index, options.label_smoothing);
}

at::Tensor linear_cross_entropy_sum(const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& bias, const at::Tensor& operand,
                                    const at::Tensor& targets,
                                    const LinearCrossEntropyOptions& options) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1) &&
                  operand.sizes() == weight.sizes(),
              "[linear_cross_entropy_sum] expected x [R, H], weight and operand [V, H], received ",
              x.sizes(), ", ", weight.sizes(), " and ", operand.sizes());
  TORCH_CHECK(targets.dim() == 1 && targets.size(0) == x.size(0) &&
                  targets.scalar_type() == at::kLong && options.chunk_rows > 0,
              "[linear_cross_entropy_sum] expected int64 targets [", x.size(0),
              "] and chunk_rows > 0, received ", targets.sizes());
  TORCH_CHECK(operand.scalar_type() == x.scalar_type(),
              "[linear_cross_entropy_sum] expected operand in x's type");
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)),
              "[linear_cross_entropy_sum] expected bias [", weight.size(0), "], received ",
              bias.sizes());
  const bool records = at::GradMode::is_enabled();
  const Wanted wanted{records && x.requires_grad(), records && weight.requires_grad(),
                      records && bias.defined() && bias.requires_grad()};
  return LinearCrossEntropy::apply(x, weight, if_defined(bias), operand.detach(),
                                   targets.contiguous(), options, wanted);
}

}  // namespace hone::kernels
