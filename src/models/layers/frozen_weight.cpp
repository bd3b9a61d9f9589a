#include "models/layers/frozen_weight.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>

#include "models/kernels/product.h"
#include "models/layers/products.h"

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct HeldWeight : torch::CustomClassHolder {
  explicit HeldWeight(FrozenWeight held) : weight(std::move(held)) {}
  FrozenWeight weight;
};

struct FrozenProduct : torch::autograd::Function<FrozenProduct> {
  static Variable forward(AutogradContext* context, const Variable& x, const FrozenWeight& weight,
                          const std::optional<at::Tensor>& bias) {
    context->saved_data["weight"] =
        c10::IValue::make_capsule(c10::make_intrusive<HeldWeight>(weight));
    return weight.product(x, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto held =
        c10::static_intrusive_pointer_cast<HeldWeight>(context->saved_data["weight"].toCapsule());
    return {held->weight.input_gradient(gradients[0].contiguous()), {}, {}};
  }
};

// The parts' tensors one below the other; each becomes its rows of the whole.
at::Tensor stacked(const std::vector<at::Tensor*>& parts) {
  std::vector<at::Tensor> values;
  for (const at::Tensor* part : parts) values.push_back(*part);
  const at::Tensor whole = at::cat(values);
  int64_t begin = 0;
  for (at::Tensor* part : parts) {
    const int64_t rows = part->size(0);
    *part = whole.narrow(0, begin, rows);
    begin += rows;
  }
  return whole;
}

}  // namespace

const std::vector<std::string>& weight_form_names() {
  static const std::vector<std::string> names = {"full", "bf16", "int8", "nf4"};
  return names;
}

std::optional<WeightForm> weight_form_named(const std::string& name) {
  const auto& names = weight_form_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<WeightForm>(found - names.begin());
}

std::string BaseForm::text() const {
  const std::string& name = weight_form_names()[static_cast<size_t>(weights)];
  return weights == WeightForm::kNf4 && double_quant ? name + ", its scales in 8 bits" : name;
}

Json BaseForm::json() const {
  Json json = {{"base", weight_form_names()[static_cast<size_t>(weights)]}};
  if (weights == WeightForm::kNf4) json["double_quant"] = double_quant;
  return json;
}

FrozenWeight::FrozenWeight(const at::Tensor& weight, const BaseForm& form) {
  const at::Tensor full = weight.detach();
  TORCH_CHECK(!form.is_full(), "[FrozenWeight] a full weight is the layer's own");
  if (form.weights == WeightForm::kBf16) bf16_ = full.to(at::kBFloat16);
  if (form.weights == WeightForm::kNf4) nf4_ = {kernels::to_nf4(full, form.double_quant)};
  if (form.weights != WeightForm::kInt8) return;
  int8_ = {at::empty(full.sizes(), full.options().dtype(at::kChar)),
           at::empty({full.size(0)}, full.options())};
  kernels::round_rows(full.contiguous(), int8_, kernels::weight_levels());
}

FrozenWeight FrozenWeight::joined(const std::vector<FrozenWeight*>& parts) {
  FrozenWeight whole;
  std::vector<at::Tensor*> bf16, values, scales;
  for (FrozenWeight* part : parts) {
    bf16.push_back(&part->bf16_);
    values.push_back(&part->int8_.values);
    scales.push_back(&part->int8_.scales);
    whole.nf4_.insert(whole.nf4_.end(), part->nf4_.begin(), part->nf4_.end());
  }
  if (bf16.front()->defined()) whole.bf16_ = stacked(bf16);
  if (values.front()->defined()) whole.int8_ = {stacked(values), stacked(scales)};
  return whole;
}

int64_t FrozenWeight::rows() const {
  if (int8_.values.defined()) return int8_.values.size(0);
  if (bf16_.defined()) return bf16_.size(0);
  int64_t rows = 0;
  for (const kernels::Nf4& part : nf4_) rows += part.rows;
  return rows;
}

int64_t FrozenWeight::bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& part : {int8_.values, int8_.scales, bf16_}) {
    if (part.defined()) bytes += static_cast<int64_t>(part.nbytes());
  }
  for (const kernels::Nf4& part : nf4_) bytes += part.bytes();
  return bytes;
}

at::Tensor FrozenWeight::values() const { return written(at::kFloat); }

at::Tensor FrozenWeight::written(at::ScalarType type) const {
  if (bf16_.defined()) return bf16_.to(type);
  if (int8_.values.defined())
    return (int8_.values.to(at::kFloat) * int8_.scales.unsqueeze(1)).to(type);
  at::Tensor values = at::empty({rows(), nf4_.front().columns}, type);
  int64_t begin = 0;
  for (const kernels::Nf4& part : nf4_) {
    kernels::write_nf4(part, values.narrow(0, begin, part.rows));
    begin += part.rows;
  }
  return values;
}

at::Tensor FrozenWeight::product(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
  if (int8_.values.defined()) return kernels::int8_product(x, int8_, bias.value_or(at::Tensor()));
  if (!nf4_.empty()) return kernels::product(x, kernels::Nf4Weight(nf4_), bias);
  return product_of(x, written(x.scalar_type()), bias);
}

at::Tensor FrozenWeight::input_gradient(const at::Tensor& g) const {
  if (int8_.values.defined()) return kernels::int8_input_gradient(g, int8_);
  if (!nf4_.empty()) {
    const kernels::Nf4Weight weight(nf4_);
    if (kernels::has_product_gradients(g, weight))
      return kernels::product_input_gradient(g, weight);
  }
  return hone::input_gradient(g, written(g.scalar_type()));
}

at::Tensor frozen_product(const at::Tensor& x, const FrozenWeight& weight,
                          const std::optional<at::Tensor>& bias) {
  return FrozenProduct::apply(x, weight, bias);
}

}  // namespace hone
