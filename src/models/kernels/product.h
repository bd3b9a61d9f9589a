// The three products of a linear layer on the CPU, with sums in fp32: block products (see
// block_product.h) over operands that are packed as they are needed. The forward product takes fp32
// and bf16; the gradients are bf16's. Of fp32, at::mm (MKL's) computes as fast but chooses its
// order of sums by the number of rows and of threads; of bf16, it sets every product up anew, for
// 0.1 ms on one thread: a product of a small model takes 0.5.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "models/kernels/written_weight.h"

namespace hone::kernels {

// Whether `product` may be used for a layer with weight [out, in] on rows like x's [N, in]: both
// fp32 or both bf16, on a CPU.
bool has_product(const at::Tensor& x, const at::Tensor& weight);
// The same of the gradients, on rows [N, in] or [N, out]: both bf16, on a CPU that multiplies bf16,
// `in` and `out` multiples of 16.
bool has_product_gradients(const at::Tensor& x, const at::Tensor& weight);
// Whether x is of bf16 on a CPU that does not multiply it: at::mm is three times as fast there on
// copies in fp32, and rounds no sum.
bool is_wider_faster(const at::Tensor& x);

// REQUIRE the above of the layer; tensors that are not contiguous are copied. Results do not depend
// on the number of threads, and a row of the first two, to the last bit, not on other rows or how
// many there are. No autograd. Throw c10::Error where sizes or types do not agree.

// x Wᵀ + bias: x [N, in], weight [out, in], bias [out] fp32 -> [N, out] in x's type, rounded once,
// or in fp32 where that is asked for.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias,
                   std::optional<at::ScalarType> type = std::nullopt);
// A weight laid out once for many products of few rows each, where laying it out for each of them
// would take as long as they do: a model that writes. A copy of the weight's size.
struct PackedWeight {
  at::Tensor panels;        // as the inner loops read them, in the type that they multiply
  int64_t out = 0, in = 0;  // of the weight
  bool is_bf16 = false;     // its type
};
// REQUIRES: a weight on the CPU, fp32 or bf16.
PackedWeight packed(const at::Tensor& weight);
// `product`, to the last bit. REQUIRES: x in the weight's type.
at::Tensor product(const at::Tensor& x, const PackedWeight& weight,
                   const std::optional<at::Tensor>& bias,
                   std::optional<at::ScalarType> type = std::nullopt);
// g W: g [N, out] -> [N, in] bf16.
at::Tensor product_input_gradient(const at::Tensor& g, const at::Tensor& weight);
// The same bits of a weight that is written as it is needed; x as `product` takes it, g as
// has_product_gradients says.
bool has_product_gradients(const at::Tensor& g, const WrittenWeight& weight);
at::Tensor product(const at::Tensor& x, const WrittenWeight& weight,
                   const std::optional<at::Tensor>& bias);
at::Tensor product_input_gradient(const at::Tensor& g, const WrittenWeight& weight);
// gᵀ x: g [N, out] bf16, x [N, in] bf16 -> [out, in] fp32, not rounded to bf16.
at::Tensor product_weight_gradient(const at::Tensor& g, const at::Tensor& x);
// The same added to `sum` [out, in] fp32, which is contiguous.
void add_product_weight_gradient(const at::Tensor& g, const at::Tensor& x, const at::Tensor& sum);

}  // namespace hone::kernels
