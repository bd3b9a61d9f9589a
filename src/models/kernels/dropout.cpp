#include "models/kernels/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/cannot_replay.h"
#include "models/kernels/gpu/dropout.h"
#include "models/kernels/random.h"
#include "models/kernels/rowwise_simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor apply_mask(const at::Tensor& given, const at::Tensor& keys,
                      const DropoutDecisions& decisions, const at::Tensor& placed_seed) {
  if (const gpu::Launcher* on = gpu::launcher_of(given))
    return gpu::dropout(*on, given, keys, decisions, placed_seed);
  const at::Tensor x = given.contiguous();
  at::Tensor out = at::empty_like(x);
  const DropoutRows rows{.columns = x.size(1),
                         .is_bf16 = is_bf16(x),
                         .x = x.const_data_ptr(),
                         .out = out.mutable_data_ptr(),
                         .dropout = decisions,
                         .keys = keys.const_data_ptr<int64_t>()};
  at::parallel_for(0, x.size(0), row_grain(x.size(1)),
                   [&](int64_t begin, int64_t end) { dropout_rows(rows, begin, end); });
  return out;
}

struct Dropout : torch::autograd::Function<Dropout> {
  static Variable forward(AutogradContext* context, const Variable& x, const at::Tensor& keys,
                          const DropoutDecisions& decisions, const MaybeTensor& placed_seed) {
    context->saved_data["keys"] = keys;
    context->saved_data["placed_seed"] = tensor_or_undefined(placed_seed);
    keep_decisions(context, decisions);
    return apply_mask(x, keys, decisions, tensor_or_undefined(placed_seed));
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto& saved = context->saved_data;
    return {apply_mask(gradients[0], saved["keys"].toTensor(), kept_decisions(context),
                       saved["placed_seed"].toTensor()),
            Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor dropout_mask(int64_t rows, int64_t columns, const DropoutOptions& options) {
  TORCH_CHECK(options.keys.defined() && options.keys.size(0) == rows, "[dropout] expected keys [",
              rows, "]");
  if (options.placed_seed.defined() && !options.placed_seed.is_cpu())
    throw CannotReplay("dropout is composed of tensor operations, which read no seed");
  return row_keep_mask(options.keys, columns, options.p, options.seed, options.site) *
         dropout_scale(options.p);
}

at::Tensor dropout_reference(const at::Tensor& x, const DropoutOptions& options) {
  return (x * dropout_mask(x.size(0), x.size(1), options)).to(x.scalar_type());
}

at::Tensor dropout(const at::Tensor& x, const DropoutOptions& options) {
  const DropoutDecisions decisions = dropout_decisions(options.p, options.seed, options.site);
  if (decisions.threshold == 0) return x;
  TORCH_CHECK(x.dim() == 2 && options.keys.defined() && options.keys.size(0) == x.size(0),
              "[dropout] expected x [rows, columns] and keys [rows]");
  const bool has_any_kernel =
      has_kernel(x) || (gpu::launcher_of(x) != nullptr && gpu::has_dropout(x));
  if (!has_any_kernel) return dropout_reference(x, options);
  return Dropout::apply(x, options.keys.contiguous(), decisions, if_defined(options.placed_seed));
}

}  // namespace hone::kernels
