#include "models/layers/linear.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/adapters/low_rank.h"
#include "models/kernels/bias.h"
#include "models/kernels/product.h"
#include "models/kernels/tensors.h"
#include "models/layers/initialise.h"
#include "models/layers/products.h"
#include "models/lazy_zeros.h"

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// y = x Wᵀ + b of one layer, or of several whose parameters lie one after another. The product
// reads `operand` (the fp32 weights themselves, or their bf16 shadow) and adds `bias`; the
// gradients go to the layers' own weights and biases, in fp32. x is kept for backward only where a
// weight has a gradient: frozen layers keep nothing.
struct Product : torch::autograd::Function<Product> {
  // inputs: x, the weight of each layer, then, where `bias` is given, the bias of each.
  static Variable forward(AutogradContext* context, at::TensorList inputs,
                          const at::Tensor& operand, const std::optional<at::Tensor>& bias) {
    const size_t layers = (inputs.size() - 1) / (bias ? 2 : 1);
    const bool is_trained =
        std::any_of(inputs.begin() + 1, inputs.begin() + 1 + static_cast<int64_t>(layers),
                    [](const at::Tensor& weight) { return weight.requires_grad(); });
    context->save_for_backward({is_trained ? inputs[0] : at::Tensor(), operand});
    std::vector<int64_t> rows;
    for (size_t i = 1; i <= layers; ++i) rows.push_back(inputs[i].size(0));
    context->saved_data["rows"] = rows;
    context->saved_data["has_bias"] = bias.has_value();
    return product_of(inputs[0], operand, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor g = gradients[0].contiguous();  // [N, sum of out]
    const std::vector<int64_t> rows = context->saved_data["rows"].toIntVector();
    const size_t layers = rows.size();
    variable_list result(1 + 2 * layers + 2);
    if (context->needs_input_grad(0)) result[0] = input_gradient(g, saved[1]);
    if (needs_any(context, 1, layers))
      share_out(context, weight_gradient(g, saved[0], saved[1]), rows, 1, result);
    if (context->saved_data["has_bias"].toBool() && needs_any(context, 1 + layers, layers)) {
      share_out(context, kernels::bias_gradient(g), rows, 1 + layers, result);
    }
    return result;
  }

  static bool needs_any(AutogradContext* context, size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i) {
      if (context->needs_input_grad(i)) return true;
    }
    return false;
  }

  static void share_out(AutogradContext* context, const at::Tensor& whole,
                        const std::vector<int64_t>& rows, size_t first, variable_list& result) {
    int64_t begin = 0;
    for (size_t i = 0; i < rows.size(); begin += rows[i++]) {
      if (context->needs_input_grad(first + i))
        result[first + i] = rows.size() == 1 ? whole : whole.narrow(0, begin, rows[i]);
    }
  }
};

// int8 is for inference: a gradient would miss what was rounded away, in silence.
at::Tensor product_in_int8(const at::Tensor& x, const kernels::Int8Rows& weight,
                           const at::Tensor& bias) {
  TORCH_CHECK(!c10::GradMode::is_enabled(),
              "[Linear] int8 products have no gradient; train in fp32 or bf16");
  return kernels::int8_product(x, weight, bias);
}

at::Tensor product_with_frozen(const at::Tensor& x, const FrozenWeight& weight,
                               const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(!bias || !bias->requires_grad(),
              "[Linear] the bias of a frozen weight has no gradient");
  return frozen_product(x, weight, bias);
}

// Null where a gradient is wanted, or there is none for such rows.
std::shared_ptr<const PackedForm> packed_for(const at::Tensor& x, const PackedSlot& slot) {
  if (c10::GradMode::is_enabled()) return nullptr;
  auto packed = slot.get();
  return packed != nullptr && packed->takes(x) ? packed : nullptr;
}

void check_rows(const at::Tensor& x, const Rows& rows) {
  TORCH_CHECK(x.size(0) == rows.size(), "[Linear] x has ", x.size(0), " rows, not the ",
              rows.size(), " that it is said to have");
}

}  // namespace

LinearImpl::LinearImpl(int64_t in, int64_t out, bool has_bias) {
  weight = register_parameter("weight", lazy_zeros({out, in}));
  bias = register_parameter("bias", has_bias ? at::zeros({out}) : at::Tensor(), has_bias);
}

LinearImpl::LinearImpl(const at::Tensor& shared) : weight(shared) {}

at::Tensor LinearImpl::forward(const at::Tensor& x, const Rows& rows) {
  check_rows(x, rows);
  const at::Tensor read = adapted_input(x);
  return adapted(multiply(read, kernels::if_defined(bias)), read, rows);
}

at::Tensor LinearImpl::activated(const at::Tensor& x, const Rows& rows,
                                 kernels::Activation activation) {
  if (!adapters_.empty()) return kernels::bias_activation(forward(x, rows), {}, activation);
  check_rows(x, rows);
  return kernels::bias_activation(multiply(x, std::nullopt), bias, activation);
}

at::Tensor LinearImpl::wide_product(const at::Tensor& x, const at::Tensor& added) {
  const std::optional<at::Tensor> with_bias = kernels::if_defined(added.defined() ? added : bias);
  if (const auto packed = packed_for(x, packed_)) return packed->product(x, with_bias, at::kFloat);
  const bool is_rounded = x.scalar_type() != at::kFloat && !c10::GradMode::is_enabled();
  if (is_rounded && is_bf16_ && !frozen_.is_defined()) {
    const at::Tensor read = operand(x.scalar_type());
    if (kernels::has_product(x, read)) return kernels::product(x, read, with_bias, at::kFloat);
  }
  return multiply(x, with_bias).to(at::kFloat);
}

at::Tensor LinearImpl::multiply(const at::Tensor& x, const std::optional<at::Tensor>& with_bias) {
  if (const auto packed = packed_for(x, packed_)) return packed->product(x, with_bias);
  if (frozen_.is_defined()) return product_with_frozen(x, frozen_, with_bias);
  if (int8_.values.defined()) return product_in_int8(x, int8_, with_bias.value_or(at::Tensor()));
  return multiply_plainly(x, with_bias);
}

at::Tensor LinearImpl::multiply_plainly(const at::Tensor& x,
                                        const std::optional<at::Tensor>& with_bias) {
  const at::Tensor read = operand(x.scalar_type());
  if (!c10::GradMode::is_enabled()) return product_of(x, read, with_bias);
  variable_list inputs = {x, weight};
  if (with_bias) inputs.push_back(*with_bias);
  return Product::apply(at::TensorList(inputs), read,
                        with_bias ? std::optional(with_bias->detach()) : std::nullopt);
}

at::Tensor LinearImpl::operand(at::ScalarType type) {
  if (type == at::kFloat) return weight.detach();
  if (!shadow_.defined() && keeps_shadow_) refresh_shadow();
  return shadow_.defined() ? shadow_ : weight.detach().to(type);
}

std::shared_ptr<const PackedForm> LinearImpl::pack() {
  if (frozen_.is_defined() || !weight.is_cpu() || (joined_ && joined_->frozen.is_defined()))
    return nullptr;
  PackedSlot& slot = joined_ ? joined_->packed : packed_;
  if (auto packed = slot.get()) return packed;
  const kernels::Int8Rows& int8 = joined_ ? joined_->int8 : int8_;
  const at::Tensor& shadow = joined_ ? joined_->shadow : shadow_;
  PackedForm form;
  if (int8.values.defined()) {
    if (!kernels::can_pack(int8)) return nullptr;
    form.int8 = kernels::packed(int8);
  } else {
    form.plain =
        kernels::packed(shadow.defined() ? shadow : (joined_ ? joined_->weight : weight).detach());
  }
  auto packed = std::make_shared<const PackedForm>(std::move(form));
  slot.set(packed);
  return packed;
}

void LinearImpl::forget_packed() {
  packed_.clear();
  if (joined_) joined_->packed.clear();
}

at::Tensor LinearImpl::adapted_input(at::Tensor x) const {
  for (const auto& [name, adapter] : adapters_) x = adapter->input(x);
  return x;
}

at::Tensor LinearImpl::adapted(at::Tensor y, const at::Tensor& x, const Rows& rows) const {
  for (const auto& [name, adapter] : adapters_) y = adapter->apply(y, x, rows);
  return y;
}

void LinearImpl::attach(const std::string& name, std::shared_ptr<Adapter> adapter) {
  for (const auto& [taken, other] : adapters_) {
    if (taken == name)
      throw Error(ErrorKind::kInternal,
                  fmt::format("a layer is to have two adapters named \"{}\"", name));
  }
  register_module(name, adapter);
  adapters_.emplace_back(name, std::move(adapter));
}

void LinearImpl::merge_adapters() {
  TORCH_CHECK(adapters_.empty() || !frozen_.is_defined(),
              "[Linear] adapters are merged into a weight that is there in full");
  const c10::AutoGradMode no_grad(false);
  forget_packed();
  for (const auto& [name, adapter] : adapters_) {
    adapter->merge_into(*this);
    unregister_module(name);
  }
  adapters_.clear();
  if (shadow_.defined()) refresh_shadow();
  if (int8_.values.defined()) round_to_int8();
}

void LinearImpl::initialise(double range, uint64_t seed) {
  forget_packed();
  fill_normal(weight, range, seed);
  const c10::AutoGradMode no_grad(false);
  if (bias.defined()) bias.zero_();
  if (shadow_.defined()) refresh_shadow();
  if (int8_.values.defined()) round_to_int8();
}

at::Tensor LinearImpl::weight_values() const {
  return frozen_.is_defined() ? frozen_.values() : weight.detach();
}

void LinearImpl::freeze_weight(const BaseForm& form) {
  forget_packed();
  frozen_ = FrozenWeight(weight, form);
  shadow_.reset();
  int8_ = {};
  weight.requires_grad_(false);
  // Whoever reads it all the same gets no number, and not an old one.
  weight.set_data(at::full({}, NAN).expand(weight.sizes()));
  if (joined_) leave_joined_weight();
}

void LinearImpl::share(const LinearImpl& other) {
  TORCH_CHECK(weight.sizes() == other.weight.sizes() && bias.defined() == other.bias.defined() &&
                  (joined_ != nullptr) == (other.joined_ != nullptr),
              "[Linear] a layer of ", weight.sizes(), " cannot share the weight of one of ",
              other.weight.sizes());
  forget_packed();
  weight.set_data(other.weight.detach());
  if (bias.defined()) bias.set_data(other.bias.detach());
  shadow_ = other.shadow_;
  int8_ = other.int8_;
  frozen_ = other.frozen_;
  is_bf16_ = other.is_bf16_;
  if (joined_) {
    *joined_ = *other.joined_;
    joined_->frozen_parts.clear();
  }
  is_shared_ = true;
}

void LinearImpl::leave_joined_weight() {
  JoinedMemory& memory = *joined_;
  memory.frozen_parts[joined_begin_] = &frozen_;
  std::vector<FrozenWeight*> parts;
  int64_t rows = 0;
  for (const auto& [begin, part] : memory.frozen_parts) parts.push_back(part), rows += part->rows();
  if (rows < memory.weight.size(0)) return;
  memory.frozen = FrozenWeight::joined(parts);
  memory.weight.reset();
  memory.shadow.reset();
  memory.int8 = {};
}

void LinearImpl::set_precision(Precision precision) {
  if (frozen_.is_defined() || is_shared_) return;
  forget_packed();
  shadow_.reset();
  int8_ = {};
  is_bf16_ = precision == Precision::kBf16;
  const bool has_shadow = is_bf16_ && (keeps_shadow_ || !is_training());
  if (joined_ && !has_shadow) joined_->shadow.reset();
  if (joined_ && precision != Precision::kInt8) joined_->int8 = {};
  if (has_shadow) refresh_shadow();
  if (precision == Precision::kInt8) round_to_int8();
}

void LinearImpl::round_to_int8() {
  const c10::AutoGradMode no_grad(false);
  const auto room = [&](int64_t rows) {
    return kernels::Int8Rows{
        at::empty({rows, weight.size(1)}, weight.options().dtype(at::kChar).requires_grad(false)),
        at::full({rows}, NAN,
                 weight.options().requires_grad(false))};  // until each layer has written its rows
  };
  if (joined_) {
    if (!joined_->int8.values.defined()) joined_->int8 = room(joined_->weight.size(0));
    int8_ = {joined_->int8.values.narrow(0, joined_begin_, weight.size(0)),
             joined_->int8.scales.narrow(0, joined_begin_, weight.size(0))};
  } else {
    int8_ = room(weight.size(0));
  }
  kernels::round_rows(weight, int8_, kernels::weight_levels());
}

void LinearImpl::refresh_shadow() {
  if (frozen_.is_defined()) return;
  forget_packed();
  const c10::AutoGradMode no_grad(false);
  const auto options = weight.options().dtype(at::kBFloat16).requires_grad(false);
  if (joined_ && !joined_->shadow.defined())
    joined_->shadow = at::empty(joined_->weight.sizes(), options);
  if (!shadow_.defined())
    shadow_ = joined_ ? joined_->shadow.narrow(0, joined_begin_, weight.size(0))
                      : at::empty(weight.sizes(), options);
  shadow_.copy_(weight);
}

void LinearImpl::train(bool on) {
  torch::nn::Module::train(on);
  if (keeps_shadow_ || is_shared_ || !is_bf16_) return;
  if (!on) return refresh_shadow();
  shadow_.reset();
  if (joined_) joined_->shadow.reset();
}

void LinearImpl::join(std::shared_ptr<JoinedMemory> memory, int64_t begin) {
  const c10::AutoGradMode no_grad(false);
  const auto move = [&](at::Tensor& parameter, const at::Tensor& to) {
    parameter.set_data(to.narrow(0, begin, parameter.size(0)));
  };
  move(weight, memory->weight);
  if (bias.defined()) move(bias, memory->bias);
  joined_ = std::move(memory);
  joined_begin_ = begin;
}

JoinedLinear::JoinedLinear(std::vector<Linear> layers) : layers_(std::move(layers)) {
  int64_t rows = 0;
  for (const Linear& layer : layers_) {
    TORCH_CHECK(layer->bias.defined() == has_bias(), "[JoinedLinear] some layers have no bias");
    rows += layer->weight.size(0);
  }
  share(lazy_zeros({rows, layers_.at(0)->weight.size(1)}),
        has_bias() ? at::zeros({rows}) : at::Tensor());  // fresh layers have no values to keep
}

void JoinedLinear::rejoin() {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> weights, biases;
  for (const Linear& layer : layers_)
    weights.push_back(layer->weight),
        biases.push_back(has_bias() ? layer->bias.to(layer->weight.device()) : layer->bias);
  share(at::cat(weights), has_bias() ? at::cat(biases) : at::Tensor());
}

void JoinedLinear::share(const at::Tensor& weight, const at::Tensor& bias) {
  memory_ = std::make_shared<JoinedMemory>();
  memory_->weight = weight;
  memory_->bias = bias;
  int64_t begin = 0;
  for (Linear& layer : layers_) {
    layer->join(memory_, begin);
    begin += layer->weight.size(0);
  }
}

at::Tensor JoinedLinear::forward(const at::Tensor& x, const Rows& rows) const {
  check_rows(x, rows);
  if (!is_one_product()) {
    std::vector<at::Tensor> columns;
    for (Linear layer : layers_) columns.push_back(layer->forward(x, rows));
    return at::cat(columns, 1);
  }
  return adapted(multiply(x), x, rows);
}

bool JoinedLinear::is_one_product() const {
  return std::none_of(layers_.begin(), layers_.end(), [&](const Linear& layer) {
    return layer->frozen_.is_defined() != memory_->frozen.is_defined() ||
           std::any_of(layer->adapters().begin(), layer->adapters().end(),
                       [](const auto& one) { return one.second->changes_input(); });
  });
}

at::Tensor JoinedLinear::multiply(const at::Tensor& x) const {
  if (const auto packed = packed_for(x, memory_->packed))
    return packed->product(x, kernels::if_defined(memory_->bias));
  if (memory_->frozen.is_defined())
    return product_with_frozen(x, memory_->frozen, kernels::if_defined(memory_->bias));
  if (memory_->int8.values.defined()) return product_in_int8(x, memory_->int8, memory_->bias);
  const at::Tensor read = operand(x.scalar_type());
  if (!c10::GradMode::is_enabled()) return product_of(x, read, kernels::if_defined(memory_->bias));
  variable_list inputs = {x};
  for (const Linear& layer : layers_) inputs.push_back(layer->weight);
  for (const Linear& layer : layers_) {
    if (has_bias()) inputs.push_back(layer->bias);
  }
  return Product::apply(at::TensorList(inputs), read, kernels::if_defined(memory_->bias));
}

at::Tensor JoinedLinear::operand(at::ScalarType type) const {
  if (type == at::kFloat) return memory_->weight;
  if (!memory_->shadow.defined() && layers_.at(0)->keeps_shadow_) {
    for (Linear layer : layers_) layer->refresh_shadow();
  }
  return memory_->shadow.defined() ? memory_->shadow : memory_->weight.to(type);
}

// What the layers' adapters add is added as one where all of it is of low rank; else each layer's
// columns go through its own.
at::Tensor JoinedLinear::adapted(const at::Tensor& y, const at::Tensor& x, const Rows& rows) const {
  std::vector<LowRank> products;
  bool is_low_rank = true, is_adapted = false;
  int64_t begin = 0;
  for (const Linear& layer : layers_) {
    for (const auto& [name, adapter] : layer->adapters()) {
      is_adapted = true;
      std::optional<LowRank> one = adapter->low_rank(rows);
      is_low_rank = is_low_rank && one.has_value();
      if (one) one->begin = begin, products.push_back(std::move(*one));
    }
    begin += layer->weight.size(0);
  }
  if (!is_adapted) return y;
  if (is_low_rank) return add_low_rank(y, x, products);
  std::vector<at::Tensor> columns;
  begin = 0;
  for (const Linear& layer : layers_) {
    const int64_t size = layer->weight.size(0);
    columns.push_back(layer->adapted(y.narrow(1, begin, size).clone(), x, rows));
    begin += size;
  }
  return at::cat(columns, 1);
}

}  // namespace hone
