// Weights of linear layers laid out once for many products of few rows: a model that writes meets
// each of them again with every token.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "models/kernels/int8_product.h"
#include "models/kernels/product.h"

namespace hone {

// The weight of a layer, or of several joined ones, in the form that its products have: one of the
// two.
struct PackedForm {
  kernels::PackedWeight plain;
  kernels::PackedInt8 int8;

  // Whether it is the form of products of such rows.
  bool takes(const at::Tensor& x) const;
  // x Wᵀ + bias in x's type, or in fp32; no gradient. REQUIRES: takes(x).
  at::Tensor product(const at::Tensor& x, const std::optional<at::Tensor>& bias,
                     std::optional<at::ScalarType> type = std::nullopt) const;
};

// Where a layer finds its packed weight, as long as somebody keeps it. Threads may look while one
// of them packs. A copy has none.
class PackedSlot {
 public:
  PackedSlot() = default;
  PackedSlot(const PackedSlot&) {}
  PackedSlot& operator=(const PackedSlot&) {
    clear();
    return *this;
  }

  std::shared_ptr<const PackedForm> get() const;  // null: there is none
  void set(const std::shared_ptr<const PackedForm>& form);
  void clear() { set(nullptr); }

 private:
  mutable std::mutex mutex_;
  std::weak_ptr<const PackedForm> form_;
};

// As long as this lives, the linear layers below `module` that are on the CPU multiply with packed
// weights, where nothing is differentiated: the same bits. It holds a second copy of the weights.
// Several of one module share it. The weights must not change while there is one; setting another
// precision lets it go.
class PackedWeights {
 public:
  explicit PackedWeights(torch::nn::Module& module);

 private:
  std::vector<std::shared_ptr<const PackedForm>> forms_;
};

}  // namespace hone
