#include "models/kernels/gpu/norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/gpu/memory.h"
#include "models/kernels/gpu/sums.h"

namespace hone::kernels::gpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// The narrowest of the kernels that take rows of this width.
struct Width {
  const char* file;
  int64_t columns, rows;  // rows: of a block at a time
};
constexpr Width kWidths[] = {{"norm_512.cu", 512, device::kWarps},
                             {"norm_1024.cu", 1024, device::kWarps},
                             {"norm_4096.cu", 4096, 1},
                             {"norm_8192.cu", 8192, 1}};

const Width& width_for(int64_t columns) {
  return *std::find_if(std::begin(kWidths), std::end(kWidths),
                       [&](const Width& width) { return columns <= width.columns; });
}

Kernel norm_kernel(const char* pass, const Width& width, const at::Tensor& x) {
  return {width.file,
          std::string("norm_") + pass + "_" + std::to_string(width.columns) + "_" + type_name(x)};
}

device::NormRows norm_rows(const NormInputs& of, const at::Tensor& statistics) {
  return {.rows = of.x.size(0),
          .columns = static_cast<int>(of.x.size(1)),
          .eps = static_cast<float>(of.eps),
          .centred = of.centred,
          .dropout = as_decisions(of.dropout, of.placed_seed),
          .keys = address<const device::i64>(of.keys),
          .weight = address<const float>(of.weight),
          .bias = address<const float>(of.bias),
          .statistics = address<float>(statistics),
          .partial = nullptr};
}

void forward_pass(const Launcher& on, const NormInputs& of, const at::Tensor& statistics,
                  const at::Tensor& out) {
  if (of.x.size(0) == 0) return;
  const Width& width = width_for(of.x.size(1));
  const unsigned blocks = blocks_for(of.x.size(0), width.rows, 8 * on.processors());
  launch(on, norm_kernel("forward", width, of.x), {blocks, 1, 1}, {32 * device::kWarps, 1, 1},
         norm_rows(of, statistics), address<const void>(of.x), address<const void>(of.residual),
         address<void>(out));
}

// Gradients of weight and bias [2, H].
at::Tensor backward_pass(const Launcher& on, const NormInputs& of, const at::Tensor& statistics,
                         const at::Tensor& grad, const at::Tensor& dx,
                         const at::Tensor& dresidual) {
  const int64_t columns = of.x.size(1);
  if (of.x.size(0) == 0) return at::zeros({2, columns}, statistics.options());
  const Width& width = width_for(columns);
  const unsigned blocks = blocks_for(of.x.size(0), width.rows, 2 * on.processors());
  const at::Tensor partial = at::empty({blocks, 2 * columns}, statistics.options());
  device::NormRows rows = norm_rows(of, statistics);
  rows.partial = address<float>(partial);
  launch(on, norm_kernel("backward", width, of.x), {blocks, 1, 1}, {32 * device::kWarps, 1, 1},
         rows, address<const void>(grad), address<const void>(of.x),
         address<const void>(of.residual), address<void>(dx), address<void>(dresidual));
  return sum_lines(on, partial).view({2, columns});
}

// Keeps what the CPU's does: inputs, and two numbers for each row.
struct GpuNorm : torch::autograd::Function<GpuNorm> {
  static Variable forward(AutogradContext* context, const Variable& x, const MaybeTensor& residual,
                          const Variable& weight, const MaybeTensor& bias, const Launcher* on,
                          NormInputs inputs) {
    inputs.x = x, inputs.residual = tensor_or_undefined(residual);
    inputs.weight = weight, inputs.bias = tensor_or_undefined(bias);
    const at::Tensor out = at::empty_like(x),
                     statistics = at::empty({x.size(0), 2}, x.options().dtype(at::kFloat));
    context->save_for_backward({x, inputs.residual, weight, inputs.bias});
    context->saved_data["statistics"] = statistics;
    context->saved_data["keys"] = inputs.keys;
    context->saved_data["placed_seed"] = inputs.placed_seed;
    context->saved_data["centred"] = inputs.centred;
    context->saved_data["on"] = reinterpret_cast<int64_t>(on);
    keep_decisions(context, inputs.dropout);
    forward_pass(*on, inputs, statistics, out);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const auto* on = reinterpret_cast<const Launcher*>(data["on"].toInt());
    const NormInputs inputs{.x = saved[0],
                            .residual = saved[1],
                            .weight = saved[2],
                            .bias = saved[3],
                            .centred = data["centred"].toBool(),
                            .dropout = kept_decisions(context),
                            .keys = data["keys"].toTensor(),
                            .placed_seed = data["placed_seed"].toTensor()};
    const at::Tensor dx = at::empty_like(inputs.x);
    at::Tensor dresidual;
    if (inputs.residual.defined())
      dresidual = inputs.dropout.threshold == 0 ? dx : at::empty_like(dx);
    const at::Tensor sums = backward_pass(*on, inputs, data["statistics"].toTensor(),
                                          dense(gradients[0]), dx, dresidual);
    return {dx,         dresidual, sums[0], inputs.bias.defined() ? sums[1] : at::Tensor(),
            Variable(), Variable()};
  }
};

}  // namespace

bool has_norm(const NormInputs& inputs) {
  const int64_t columns = inputs.x.size(1);
  return is_bf16_or_fp32(inputs.x) && inputs.weight.scalar_type() == at::kFloat && columns > 0 &&
         columns % 2 == 0 && columns <= std::rbegin(kWidths)->columns;
}

at::Tensor norm(const Launcher& on, const NormInputs& inputs) {
  NormInputs plain = inputs;
  const auto dense_if = [](const at::Tensor& x) {
    return x.defined() ? MaybeTensor(dense(x)) : std::nullopt;
  };
  return GpuNorm::apply(dense(inputs.x), dense_if(inputs.residual), dense(inputs.weight),
                        dense_if(inputs.bias), &on, plain);
}

}  // namespace hone::kernels::gpu
