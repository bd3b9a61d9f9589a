#include "models/kernels/norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/column_sums.h"
#include "models/kernels/gpu/norm.h"
#include "models/kernels/norm_simd.h"
#include "models/kernels/simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

template <class T>
const T* data_or_null(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}
const void* data_or_null(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

// Saves x and residual (which the neighbouring layers keep anyway) and two numbers per row; the sum
// and the mask are recomputed.
struct Norm : torch::autograd::Function<Norm> {
  static NormRows rows_of(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, const at::Tensor& keys,
                          const DropoutDecisions& decisions) {
    return {.columns = x.size(1),
            .is_bf16 = is_bf16(x),
            .x = x.const_data_ptr(),
            .residual = data_or_null(residual),
            .weight = weight.const_data_ptr<float>(),
            .bias = data_or_null<float>(bias),
            .dropout = decisions,
            .keys = data_or_null<int64_t>(keys)};
  }

  // `context` may be null where nothing is recorded.
  static Variable forward(AutogradContext* context, const Variable& x,
                          const MaybeTensor& maybe_residual, const Variable& weight,
                          const MaybeTensor& maybe_bias, const MaybeTensor& maybe_keys, double eps,
                          bool centred, const DropoutDecisions& decisions, bool recorded) {
    const at::Tensor residual = tensor_or_undefined(maybe_residual),
                     bias = tensor_or_undefined(maybe_bias), keys = tensor_or_undefined(maybe_keys);
    at::Tensor out = at::empty_like(x), statistics;
    NormRows rows = rows_of(x, residual, weight, bias, keys, decisions);
    rows.eps = static_cast<float>(eps);
    rows.centred = centred;
    rows.out = out.mutable_data_ptr();
    if (recorded) {
      statistics = at::empty({x.size(0), 2}, x.options().dtype(at::kFloat));
      rows.statistics = statistics.mutable_data_ptr<float>();
      context->save_for_backward({x, residual, weight, bias});
      context->saved_data["statistics"] = statistics;
      context->saved_data["keys"] = keys;
      context->saved_data["centred"] = centred;
      keep_decisions(context, decisions);
    }
    at::parallel_for(0, x.size(0), row_grain(x.size(1)),
                     [&](int64_t begin, int64_t end) { norm_forward(rows, begin, end); });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &residual = saved[1], &weight = saved[2], &bias = saved[3];
    const at::Tensor grad = gradients[0].contiguous(),
                     keys = context->saved_data["keys"].toTensor();
    at::Tensor statistics = context->saved_data["statistics"].toTensor();
    const DropoutDecisions decisions = kept_decisions(context);
    at::Tensor dx = at::empty_like(x), dresidual;
    if (residual.defined()) dresidual = decisions.threshold == 0 ? dx : at::empty_like(x);

    NormRows rows = rows_of(x, residual, weight, bias, keys, decisions);
    rows.centred = context->saved_data["centred"].toBool();
    rows.statistics = statistics.mutable_data_ptr<float>();
    rows.grad = grad.const_data_ptr();
    rows.dx = dx.mutable_data_ptr();
    rows.dresidual = dresidual.defined() ? dresidual.mutable_data_ptr() : nullptr;
    const int64_t width = padded(x.size(1)), chunks = row_chunks(x.size(0));
    const at::Tensor partial =
        at::empty({chunks, 2, width}, statistics.options());  // dweight, then dbias, of each chunk
    float* sums = partial.mutable_data_ptr<float>();
    for_row_chunks(x.size(0), [&](int64_t begin, int64_t end, int64_t chunk) {
      norm_backward(rows, begin, end, sums + 2 * chunk * width, sums + (2 * chunk + 1) * width);
    });
    const auto total = [&](const at::Tensor& of, int64_t offset) {
      at::Tensor result = at::empty_like(of);
      sum_lines(sums + offset, chunks, 2 * width, x.size(1), result.mutable_data_ptr<float>());
      return result;
    };
    return {dx,
            dresidual,
            total(weight, 0),
            bias.defined() ? total(bias, width) : at::Tensor(),
            Variable(),
            Variable(),
            Variable(),
            Variable(),
            Variable()};
  }
};

// residual + dropout(x) in the type that the references compute in.
at::Tensor sum_of(const at::Tensor& x, const at::Tensor& residual, const DropoutOptions& dropout) {
  at::Tensor sum = is_bf16(x) ? x.to(at::kFloat) : x;
  if (dropout.p > 0) sum = dropout_reference(sum, dropout);
  return residual.defined() ? sum + residual.to(sum.scalar_type()) : sum;
}

void check(const char* name, const at::Tensor& x, const at::Tensor& residual,
           const at::Tensor& weight) {
  TORCH_CHECK(x.dim() == 2 && weight.numel() == x.size(1), "[", name,
              "] expected x [N, H] and weight [H], received x ", x.sizes(), " and weight ",
              weight.sizes());
  TORCH_CHECK(!residual.defined() || residual.sizes() == x.sizes(), "[", name,
              "] expected residual ", x.sizes(), ", received ", residual.sizes());
}

gpu::NormInputs inputs_of(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps, bool centred,
                          const DropoutOptions& dropout) {
  const DropoutDecisions decisions = dropout_decisions(dropout.p, dropout.seed, dropout.site);
  TORCH_CHECK(
      decisions.threshold == 0 || (dropout.keys.defined() && dropout.keys.size(0) == x.size(0)),
      "[norm] expected keys [", x.size(0), "]");
  return {.x = x,
          .residual = residual.defined() ? residual.to(x.scalar_type()).contiguous() : residual,
          .weight = weight,
          .bias = bias,
          .eps = eps,
          .centred = centred,
          .dropout = decisions,
          .keys = decisions.threshold > 0 ? dropout.keys.contiguous() : at::Tensor(),
          .placed_seed = dropout.placed_seed};
}

at::Tensor norm_here(const gpu::NormInputs& in) {
  const at::Tensor x = in.x.contiguous(), weight = in.weight.contiguous();
  const MaybeTensor residual = if_defined(in.residual), bias = if_defined(in.bias),
                    keys = if_defined(in.keys);
  if (!is_recorded({in.x, in.residual, in.weight, in.bias}))
    return Norm::forward(nullptr, x, residual, weight, bias, keys, in.eps, in.centred, in.dropout,
                         /*recorded=*/false);
  return Norm::apply(x, residual, weight, bias, keys, in.eps, in.centred, in.dropout,
                     /*recorded=*/true);
}

// By the kernel of x's device; undefined where there is none for these.
at::Tensor fused_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                      const at::Tensor& bias, double eps, bool centred,
                      const DropoutOptions& dropout) {
  const bool is_here = has_kernel(x) && weight.scalar_type() == at::kFloat;
  const gpu::Launcher* const on = gpu::launcher_of(x);
  if (!is_here && on == nullptr) return {};
  const gpu::NormInputs inputs = inputs_of(x, residual, weight, bias, eps, centred, dropout);
  if (is_here) return norm_here(inputs);
  return gpu::has_norm(inputs) ? gpu::norm(*on, inputs) : at::Tensor();
}

}  // namespace

at::Tensor dropout_add_layer_norm_reference(const at::Tensor& x, const at::Tensor& residual,
                                            const at::Tensor& weight, const at::Tensor& bias,
                                            double eps, const DropoutOptions& dropout) {
  const at::Tensor sum = sum_of(x, residual, dropout);
  const at::ScalarType type = sum.scalar_type();
  return at::layer_norm(sum, {x.size(1)}, weight.to(type), bias.defined() ? bias.to(type) : bias,
                        eps)
      .to(x.scalar_type());
}

at::Tensor dropout_add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                                  const at::Tensor& weight, const at::Tensor& bias, double eps,
                                  const DropoutOptions& dropout) {
  check("dropout_add_layer_norm", x, residual, weight);
  const at::Tensor fused = fused_norm(x, residual, weight, bias, eps, /*centred=*/true, dropout);
  return fused.defined()
             ? fused
             : dropout_add_layer_norm_reference(x, residual, weight, bias, eps, dropout);
}

at::Tensor dropout_add_rms_norm_reference(const at::Tensor& x, const at::Tensor& residual,
                                          const at::Tensor& weight, double eps,
                                          const DropoutOptions& dropout) {
  const at::Tensor sum = sum_of(x, residual, dropout);
  return (sum * (sum.square().mean(-1, /*keepdim=*/true) + eps).rsqrt() *
          weight.to(sum.scalar_type()))
      .to(x.scalar_type());
}

at::Tensor dropout_add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                const at::Tensor& weight, double eps,
                                const DropoutOptions& dropout) {
  check("dropout_add_rms_norm", x, residual, weight);
  const at::Tensor fused = fused_norm(x, residual, weight, {}, eps, /*centred=*/false, dropout);
  return fused.defined() ? fused
                         : dropout_add_rms_norm_reference(x, residual, weight, eps, dropout);
}

}  // namespace hone::kernels
