#include "models/kernels/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "models/kernels/cross_entropy_simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

void check_targets(const at::Tensor& targets, int64_t classes, int64_t ignore_index) {
  const int64_t* target = targets.const_data_ptr<int64_t>();
  const auto bad = std::find_if(target, target + targets.numel(), [&](int64_t t) {
    return t != ignore_index && (t < 0 || t >= classes);
  });
  TORCH_CHECK(bad == target + targets.numel(), "[cross_entropy_sum] target ", *bad,
              " is not one of ", classes, " classes");
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static CrossEntropyRows rows_of(const at::Tensor& logits, const at::Tensor& targets,
                                  int64_t ignore_index, double smoothing) {
    return {.classes = logits.size(1),
            .is_bf16 = is_bf16(logits),
            .logits = logits.const_data_ptr(),
            .targets = targets.const_data_ptr<int64_t>(),
            .ignore_index = ignore_index,
            .smoothing = static_cast<float>(smoothing)};
  }

  static Variable forward(AutogradContext* context, const Variable& logits,
                          const at::Tensor& targets, int64_t ignore_index, double smoothing) {
    const int64_t count = logits.size(0);
    const at::Tensor numbers =
        at::empty({2, count}, logits.options().dtype(at::kFloat));  // losses, log-sum-exp
    CrossEntropyRows rows = rows_of(logits, targets, ignore_index, smoothing);
    rows.losses = numbers.mutable_data_ptr<float>();
    rows.log_sum_exp = rows.losses + count;
    at::parallel_for(0, count, row_grain(logits.size(1)),
                     [&](int64_t begin, int64_t end) { cross_entropy_forward(rows, begin, end); });
    context->save_for_backward({logits});
    context->saved_data["targets"] = targets;
    context->saved_data["numbers"] = numbers;
    context->saved_data["ignore_index"] = ignore_index;
    context->saved_data["smoothing"] = smoothing;
    double sum = 0;  // in the order of the rows
    for (int64_t i = 0; i < count; ++i) sum += rows.losses[i];
    return at::scalar_tensor(sum, logits.options().dtype(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto& data = context->saved_data;
    const at::Tensor logits = context->get_saved_variables()[0],
                     targets = data["targets"].toTensor();
    const at::Tensor numbers = data["numbers"].toTensor();
    at::Tensor dlogits = at::empty_like(logits);
    CrossEntropyRows rows =
        rows_of(logits, targets, data["ignore_index"].toInt(), data["smoothing"].toDouble());
    rows.log_sum_exp = numbers.mutable_data_ptr<float>() + logits.size(0);
    rows.grad = gradients[0].item<float>();
    rows.dlogits = dlogits.mutable_data_ptr();
    at::parallel_for(0, logits.size(0), row_grain(logits.size(1)),
                     [&](int64_t begin, int64_t end) { cross_entropy_backward(rows, begin, end); });
    return {dlogits, Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets,
                             int64_t ignore_index, double label_smoothing) {
  TORCH_CHECK(logits.dim() == 2 && targets.dim() == 1 && targets.size(0) == logits.size(0) &&
                  targets.scalar_type() == at::kLong,
              "[cross_entropy_sum] expected logits [R, C] and int64 targets [R], received ",
              logits.sizes(), " and ", targets.sizes());
  if (!has_kernel(logits)) {
    const at::Tensor wide = is_bf16(logits) ? logits.to(at::kFloat) : logits;
    return at::cross_entropy_loss(wide, targets, {}, at::Reduction::Sum, ignore_index,
                                  label_smoothing);
  }
  const at::Tensor plain = targets.contiguous();
  check_targets(plain, logits.size(1), ignore_index);
  return CrossEntropy::apply(logits.contiguous(), plain, ignore_index, label_smoothing);
}

}  // namespace hone::kernels
