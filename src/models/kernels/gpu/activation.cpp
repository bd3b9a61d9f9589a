#include "models/kernels/gpu/activation.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/gpu/memory.h"
#include "models/kernels/gpu/sums.h"

namespace hone::kernels::gpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr int64_t kBlockColumns = 256, kBlockRows = 8;

Kernel activation_kernel(const char* what, const at::Tensor& x) {
  return {"activation.cu", std::string(what) + "_" + type_name(x)};
}

// Blocks of columns and of rows, some for each processor.
Extent blocks_of(const Launcher& on, int64_t rows, int64_t columns) {
  const unsigned wide = blocks_for(columns, kBlockColumns, 1 << 30);
  const int64_t most = std::clamp<int64_t>(8 * on.processors() / wide, 1, 65535);
  return {wide, blocks_for(rows, kBlockRows, most), 1};
}

device::ActivationRows activation_rows(int64_t rows, int64_t columns, Activation activation,
                                       const at::Tensor& bias) {
  return {.rows = rows,
          .columns = static_cast<int>(columns),
          .function = static_cast<int>(activation),
          .bias = address<const float>(bias),
          .partial = nullptr};
}

struct GpuBiasActivation : torch::autograd::Function<GpuBiasActivation> {
  static Variable forward(AutogradContext* context, const Variable& x,
                          const MaybeTensor& maybe_bias, const Launcher* on,
                          Activation activation) {
    const at::Tensor bias = tensor_or_undefined(maybe_bias), out = at::empty_like(x);
    context->save_for_backward({x, bias});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    context->saved_data["on"] = reinterpret_cast<int64_t>(on);
    if (x.numel() > 0)
      launch(*on, activation_kernel("activation_forward", x), blocks_of(*on, x.size(0), x.size(1)),
             {32, kBlockRows, 1}, activation_rows(x.size(0), x.size(1), activation, bias),
             address<const void>(x), address<void>(out));
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &bias = saved[1];
    const auto* on = reinterpret_cast<const Launcher*>(context->saved_data["on"].toInt());
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor grad = dense(gradients[0]), dx = at::empty_like(x);
    if (x.numel() == 0)
      return {dx, bias.defined() ? at::zeros_like(bias) : bias, Variable(), Variable()};
    const Extent blocks = blocks_of(*on, x.size(0), x.size(1));
    const at::Tensor partial =
        bias.defined() ? at::empty({blocks[1], x.size(1)}, bias.options()) : at::Tensor();
    device::ActivationRows rows = activation_rows(x.size(0), x.size(1), activation, bias);
    rows.partial = address<float>(partial);
    launch(*on, activation_kernel("activation_backward", x), blocks, {32, kBlockRows, 1}, rows,
           address<const void>(grad), address<const void>(x), address<void>(dx));
    return {dx, bias.defined() ? sum_lines(*on, partial) : bias, Variable(), Variable()};
  }
};

struct GpuGatedActivation : torch::autograd::Function<GpuGatedActivation> {
  static Variable forward(AutogradContext* context, const Variable& x, const Launcher* on,
                          Activation activation) {
    const int64_t columns = x.size(1) / 2;
    const at::Tensor out = at::empty({x.size(0), columns}, x.options());
    context->save_for_backward({x});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    context->saved_data["on"] = reinterpret_cast<int64_t>(on);
    if (x.numel() > 0)
      launch(*on, activation_kernel("gated_forward", x), blocks_of(*on, x.size(0), columns),
             {32, kBlockRows, 1}, activation_rows(x.size(0), columns, activation, {}),
             address<const void>(x), address<void>(out));
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0], grad = dense(gradients[0]),
                     dx = at::empty_like(x);
    const auto* on = reinterpret_cast<const Launcher*>(context->saved_data["on"].toInt());
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const int64_t columns = x.size(1) / 2;
    if (x.numel() > 0)
      launch(*on, activation_kernel("gated_backward", x), blocks_of(*on, x.size(0), columns),
             {32, kBlockRows, 1}, activation_rows(x.size(0), columns, activation, {}),
             address<const void>(grad), address<const void>(x), address<void>(dx));
    return {dx, Variable(), Variable()};
  }
};

}  // namespace

bool has_activation(const at::Tensor& x, int64_t columns) {
  return is_bf16_or_fp32(x) && x.dim() == 2 && columns % 8 == 0;
}

at::Tensor bias_activation(const Launcher& on, const at::Tensor& x, const at::Tensor& bias,
                           Activation activation) {
  return GpuBiasActivation::apply(
      dense(x), bias.defined() ? MaybeTensor(dense(bias)) : std::nullopt, &on, activation);
}

at::Tensor gated_activation(const Launcher& on, const at::Tensor& x, Activation activation) {
  return GpuGatedActivation::apply(dense(x), &on, activation);
}

}  // namespace hone::kernels::gpu
