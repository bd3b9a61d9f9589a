#include "models/kernels/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "models/kernels/cross_entropy.h"
#include "models/kernels/cross_entropy_simd.h"
#include "models/kernels/kept_memory.h"
#include "models/kernels/leaf_gradient.h"
#include "models/kernels/product.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr int64_t kValuesOfATask = 16384;

void for_values(const at::Tensor& of, const CappedValues& values,
                void (*body)(const CappedValues&, int64_t, int64_t)) {
  at::parallel_for(0, of.numel(), kValuesOfATask,
                   [&](int64_t begin, int64_t end) { body(values, begin, end); });
}

// In place.
void cap_logits(const at::Tensor& logits, double cap) {
  if (!has_kernel(logits)) return void(logits.div_(cap).tanh_().mul_(cap));
  for_values(logits,
             {.is_bf16 = is_bf16(logits),
              .cap = static_cast<float>(cap),
              .values = logits.mutable_data_ptr()},
             cap_forward);
}
void cap_gradient(const at::Tensor& gradient, const at::Tensor& capped, double cap) {
  if (!has_kernel(gradient)) return void(gradient.mul_(1 - (capped / cap).square()));
  for_values(gradient,
             {.is_bf16 = is_bf16(gradient),
              .cap = static_cast<float>(cap),
              .values = capped.mutable_data_ptr(),
              .gradient = gradient.mutable_data_ptr()},
             cap_backward);
}

// A chunk's loss [], and d loss / d logits by the kernel's own backward. Writes to `logits`.
std::pair<at::Tensor, at::Tensor> loss_and_gradient(const at::Tensor& logits,
                                                    const at::Tensor& targets,
                                                    const LinearCrossEntropyOptions& options,
                                                    bool wants_gradient) {
  if (options.soft_cap > 0) cap_logits(logits, options.soft_cap);
  const at::AutoGradMode recorded(wants_gradient);
  const at::Tensor leaf = logits.detach().requires_grad_(wants_gradient);
  const at::Tensor loss =
      cross_entropy_sum(leaf, targets, options.ignore_index, options.label_smoothing);
  if (!wants_gradient) return {loss, {}};
  const at::Tensor gradient = torch::autograd::grad({loss}, {leaf})[0];
  if (options.soft_cap > 0) cap_gradient(gradient, logits, options.soft_cap);
  return {loss.detach(), gradient};
}

// dweight [V, H] fp32 += gradientᵀ x.
void add_weight_gradient(const at::Tensor& dweight, const at::Tensor& gradient, const at::Tensor& x,
                         const at::Tensor& operand) {
  if (has_product_gradients(x, operand)) return add_product_weight_gradient(gradient, x, dweight);
  if (is_bf16(gradient) && gradient.is_cuda())
    return void(dweight.add_(at::mm(gradient.t(), x, at::kFloat)));
  if (is_wider_faster(x))
    return void(dweight.addmm_(gradient.t().to(at::kFloat), x.to(at::kFloat)));
  if (is_bf16(gradient)) return void(dweight.add_(at::mm(gradient.t(), x)));
  dweight.addmm_(gradient.t(), x);
}

at::Tensor zeros_for_gradient(const at::Tensor& weight) {
  if (!weight.is_cpu() || weight.scalar_type() != at::kFloat) return at::zeros_like(weight);
  return kept_empty(weight.sizes()).zero_();
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

// What autograd is told of the weight's gradient: nothing where it was added in its place. A tied
// table's lookups then add to it too, instead of to zeros of their own.
at::Tensor given_to(const at::Tensor& weight, const at::Tensor& gradient) {
  if (!can_accumulate(weight)) return gradient;
  if (weight.grad().defined()) {
    weight.mutable_grad().add_(gradient);
  } else {
    weight.mutable_grad() = gradient;
  }
  return {};
}

// The rows that are computed: those with a target. On a GPU all: how many have one is nothing that
// the host knows without waiting, and a row without one adds nothing.
struct TakenRows {
  at::Tensor x, aims;
  at::Tensor rows;  // [taken] int64; undefined: all

  TakenRows(const at::Tensor& of, const at::Tensor& targets, int64_t ignore_index)
      : x(of), aims(targets) {
    if (!of.is_cpu()) return;
    rows = targets.ne(ignore_index).nonzero().squeeze(1);
    x = of.index_select(0, rows), aims = targets.index_select(0, rows);
  }
  // Of all rows, from those of the taken ones.
  at::Tensor spread(const at::Tensor& taken, const at::Tensor& like) const {
    return rows.defined() ? at::zeros_like(like).index_copy_(0, rows, taken) : taken;
  }
};

// A GPU wants larger products.
int64_t chunk_of(const at::Tensor& x, const LinearCrossEntropyOptions& options) {
  constexpr int64_t kRowsOfAGpu = 2048;
  return x.is_cpu() ? options.chunk_rows : std::max(options.chunk_rows, kRowsOfAGpu);
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const MaybeTensor& some_bias, const at::Tensor& operand,
                          const at::Tensor& targets, const LinearCrossEntropyOptions& options,
                          const Wanted& wanted) {
    const at::Tensor bias = tensor_or_undefined(some_bias);
    const TakenRows taken(x, targets, options.ignore_index);
    const at::Tensor dtaken = wanted.x ? at::empty_like(taken.x) : at::Tensor();
    at::Tensor dweight = wanted.weight ? zeros_for_gradient(weight) : at::Tensor(),
               dbias = wanted.bias ? at::zeros_like(bias) : at::Tensor();
    const at::Tensor sum = at::zeros({}, x.options().dtype(at::kDouble).requires_grad(false));
    const int64_t chunk = chunk_of(x, options);
    for (int64_t begin = 0; begin < taken.x.size(0); begin += chunk) {
      const int64_t count = std::min(chunk, taken.x.size(0) - begin);
      const at::Tensor part = taken.x.narrow(0, begin, count);
      const auto [loss, dlogits] = loss_and_gradient(
          product(part, operand, bias), taken.aims.narrow(0, begin, count), options, wanted.any());
      sum.add_(loss);
      if (wanted.x) dtaken.narrow(0, begin, count).copy_(at::mm(dlogits, operand));
      if (wanted.weight) add_weight_gradient(dweight, dlogits, part, operand);
      if (wanted.bias) dbias += dlogits.sum(0, /*keepdim=*/false, at::kFloat);
    }
    if (wanted.x) context->saved_data["dx"] = taken.spread(dtaken, x);
    if (wanted.weight) {
      context->saved_data["dweight"] = dweight;
      context->save_for_backward({weight});
    }
    if (wanted.bias) context->saved_data["dbias"] = dbias;
    return sum.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list result(7);
    const auto scaled = [&](const char* name) {
      auto& saved = context->saved_data;
      TORCH_CHECK(saved.count(name) > 0,
                  "[linear_cross_entropy_sum] its gradient can be taken once");
      at::Tensor gradient = saved[name].toTensor();
      saved.erase(name);
      const at::Tensor& factor = gradients[0];
      return factor.is_cpu() && factor.item<float>() == 1 ? gradient : gradient.mul_(factor);
    };
    if (context->needs_input_grad(0)) result[0] = scaled("dx");
    if (context->needs_input_grad(1))
      result[1] = given_to(context->get_saved_variables()[0], scaled("dweight"));
    if (context->needs_input_grad(2)) result[2] = scaled("dbias");
    return result;
  }
};

}  // namespace

at::Tensor linear_cross_entropy_sum_reference(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, const at::Tensor& targets,
                                              const LinearCrossEntropyOptions& options) {
  at::Tensor y = at::mm(x, weight.t());
  if (bias.defined()) y = y + bias;
  if (options.soft_cap > 0) y = at::tanh(y / options.soft_cap) * options.soft_cap;
  return at::cross_entropy_loss(y, targets, {}, at::Reduction::Sum, options.ignore_index,
                                options.label_smoothing);
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
  TORCH_CHECK(options.soft_cap >= 0, "[linear_cross_entropy_sum] expected soft_cap >= 0, received ",
              options.soft_cap);
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
