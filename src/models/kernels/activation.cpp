#include "models/kernels/activation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "models/kernels/column_sums.h"
#include "models/kernels/gpu/activation.h"
#include "models/kernels/rowwise_simd.h"
#include "models/kernels/simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kTanh:
      return at::tanh(x);
  }
  TORCH_CHECK(false, "[bias_activation] unknown activation ", static_cast<int>(activation));
}

struct BiasActivation : torch::autograd::Function<BiasActivation> {
  static ActivationRows rows_of(const at::Tensor& x, const at::Tensor& bias,
                                Activation activation) {
    return {.columns = x.size(1),
            .is_bf16 = is_bf16(x),
            .activation = activation,
            .x = x.const_data_ptr(),
            .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr};
  }

  // `context` may be null where nothing is recorded.
  static Variable forward(AutogradContext* context, const Variable& x,
                          const MaybeTensor& maybe_bias, Activation activation) {
    const at::Tensor bias = tensor_or_undefined(maybe_bias);
    if (context != nullptr) {
      context->save_for_backward({x, bias});
      context->saved_data["activation"] = static_cast<int64_t>(activation);
    }
    at::Tensor out = at::empty_like(x);
    ActivationRows rows = rows_of(x, bias, activation);
    rows.out = out.mutable_data_ptr();
    at::parallel_for(0, x.size(0), row_grain(x.size(1)),
                     [&](int64_t begin, int64_t end) { activation_forward(rows, begin, end); });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &bias = saved[1];
    const at::Tensor grad = gradients[0].contiguous();
    at::Tensor dx = at::empty_like(x), dbias;
    ActivationRows rows =
        rows_of(x, bias, static_cast<Activation>(context->saved_data["activation"].toInt()));
    rows.grad = grad.const_data_ptr();
    rows.dx = dx.mutable_data_ptr();
    const int64_t width = padded(x.size(1)), chunks = row_chunks(x.size(0));
    const at::Tensor partial = at::empty({chunks, width}, x.options().dtype(at::kFloat));
    float* sums = partial.mutable_data_ptr<float>();
    for_row_chunks(x.size(0), [&](int64_t begin, int64_t end, int64_t chunk) {
      activation_backward(rows, begin, end, sums + chunk * width);
    });
    if (bias.defined()) {
      dbias = at::empty_like(bias);
      sum_lines(sums, chunks, width, x.size(1), dbias.mutable_data_ptr<float>());
    }
    return {dx, dbias, Variable()};
  }
};

struct GatedActivation : torch::autograd::Function<GatedActivation> {
  static GatedRows rows_of(const at::Tensor& x, Activation activation) {
    return {.columns = x.size(1) / 2,
            .is_bf16 = is_bf16(x),
            .activation = activation,
            .x = x.const_data_ptr()};
  }

  // Likewise.
  static Variable forward(AutogradContext* context, const Variable& x, Activation activation) {
    if (context != nullptr) {
      context->save_for_backward({x});
      context->saved_data["activation"] = static_cast<int64_t>(activation);
    }
    at::Tensor out = at::empty({x.size(0), x.size(1) / 2}, x.options());
    GatedRows rows = rows_of(x, activation);
    rows.out = out.mutable_data_ptr();
    at::parallel_for(0, x.size(0), row_grain(x.size(1)),
                     [&](int64_t begin, int64_t end) { gated_rows(rows, begin, end); });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0], grad = gradients[0].contiguous();
    at::Tensor dx = at::empty_like(x);
    GatedRows rows = rows_of(x, static_cast<Activation>(context->saved_data["activation"].toInt()));
    rows.grad = grad.const_data_ptr();
    rows.dx = dx.mutable_data_ptr();
    at::parallel_for(0, x.size(0), row_grain(x.size(1)),
                     [&](int64_t begin, int64_t end) { gated_rows(rows, begin, end); });
    return {dx, Variable()};
  }
};

}  // namespace

Activation activation_named(const std::string& hf_name) {
  static const std::map<std::string, Activation> kNames = {
      {"gelu", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"tanh", Activation::kTanh}};
  const auto found = kNames.find(hf_name);
  if (found != kNames.end()) return found->second;
  std::vector<std::string> names;
  std::string known;
  for (const auto& [name, activation] : kNames) {
    names.push_back(name);
    known += (known.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::kModel, "unknown activation \"" + hf_name + "\"" +
                                     did_you_mean(hf_name, names) + "; known: " + known);
}

at::Tensor bias_activation_reference(const at::Tensor& x, const at::Tensor& bias,
                                     Activation activation) {
  const at::ScalarType type = is_bf16(x) ? at::kFloat : x.scalar_type();
  const at::Tensor sum = bias.defined() ? x.to(type) + bias.to(type) : x.to(type);
  return activate(sum, activation).to(x.scalar_type());
}

at::Tensor bias_activation(const at::Tensor& x, const at::Tensor& bias, Activation activation) {
  TORCH_CHECK(!bias.defined() || bias.numel() == x.size(-1), "[bias_activation] expected bias [",
              x.size(-1), "], received ", bias.sizes());
  const bool is_plain = x.dim() == 2 && (!bias.defined() || bias.scalar_type() == at::kFloat);
  if (const gpu::Launcher* on = gpu::launcher_of(x);
      on != nullptr && is_plain && gpu::has_activation(x, x.size(1)))
    return gpu::bias_activation(*on, x, bias, activation);
  if (!has_kernel(x) || !is_plain) return bias_activation_reference(x, bias, activation);
  if (!is_recorded({x, bias}))
    return BiasActivation::forward(nullptr, x.contiguous(), if_defined(bias), activation);
  return BiasActivation::apply(x.contiguous(), if_defined(bias), activation);
}

at::Tensor gated_activation_reference(const at::Tensor& x, Activation activation) {
  const at::ScalarType type = is_bf16(x) ? at::kFloat : x.scalar_type();
  const std::vector<at::Tensor> halves = x.to(type).chunk(2, 1);
  return (activate(halves[0], activation) * halves[1]).to(x.scalar_type());
}

at::Tensor gated_activation(const at::Tensor& x, Activation activation) {
  TORCH_CHECK(x.dim() == 2 && x.size(1) % 2 == 0,
              "[gated_activation] expected rows of two halves, received ", x.sizes());
  if (const gpu::Launcher* on = gpu::launcher_of(x);
      on != nullptr && gpu::has_activation(x, x.size(1) / 2))
    return gpu::gated_activation(*on, x, activation);
  if (!has_kernel(x)) return gated_activation_reference(x, activation);
  if (!is_recorded({x})) return GatedActivation::forward(nullptr, x.contiguous(), activation);
  return GatedActivation::apply(x.contiguous(), activation);
}

}  // namespace hone::kernels
