// Weights of a frozen layer that are kept in fewer bits than fp32: the base of adapters (QLoRA:
// Dettmers et al. 2023, https://arxiv.org/abs/2305.14314). They are never trained; the gradient of
// a layer's input goes through them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/kernels/int8_product.h"
#include "models/kernels/nf4.h"

namespace hone {

enum class WeightForm {
  kFull,  // fp32, and a bf16 copy where products are bf16's
  kBf16,  // bf16 alone
  kInt8,  // whole numbers and a scale for each row; products in whole numbers
  kNf4    // 4 bits; products read values that are written panel by panel
};

struct BaseForm {
  WeightForm weights = WeightForm::kFull;
  bool double_quant = true;  // of nf4: the scales in 8 bits too

  bool is_full() const { return weights == WeightForm::kFull; }
  bool operator==(const BaseForm&) const = default;
  std::string text() const;  // "nf4, scales in 8 bits"
  Json json() const;         // {"base": "nf4", "double_quant": true}
};

const std::vector<std::string>& weight_form_names();                   // "full", …
std::optional<WeightForm> weight_form_named(const std::string& name);  // nothing: unknown

// Of a layer, or of several one below the other.
class FrozenWeight {
 public:
  FrozenWeight() = default;  // none
  // In the form's rounding of `weight` [out, in] fp32 on the CPU. REQUIRES: not full.
  FrozenWeight(const at::Tensor& weight, const BaseForm& form);
  // Of layers of equal input that were made in the same form. Those in whole numbers or in bf16
  // become parts of the new one's memory.
  static FrozenWeight joined(const std::vector<FrozenWeight*>& parts);

  bool is_defined() const { return int8_.values.defined() || bf16_.defined() || !nf4_.empty(); }
  int64_t rows() const;
  int64_t bytes() const;
  at::Tensor values() const;  // fp32 [rows, in]: what products compute with

  // No autograd: x [N, in] -> x Wᵀ + bias [N, rows], and g [N, rows] -> g W [N, in], in the type of
  // x and g. bias: fp32 [rows].
  at::Tensor product(const at::Tensor& x, const std::optional<at::Tensor>& bias) const;
  at::Tensor input_gradient(const at::Tensor& g) const;

 private:
  at::Tensor written(at::ScalarType type) const;  // [rows, in]

  kernels::Int8Rows int8_;         // one of the three
  at::Tensor bf16_;                // [rows, in]
  std::vector<kernels::Nf4> nf4_;  // each layer's, as blocks do not go on from one to the next
};

// The product with a gradient for x.
at::Tensor frozen_product(const at::Tensor& x, const FrozenWeight& weight,
                          const std::optional<at::Tensor>& bias);

}  // namespace hone
