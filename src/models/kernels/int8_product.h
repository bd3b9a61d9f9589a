// Products in whole numbers of 8 bits: a weight is rounded once, by row, and each row of x as it
// comes. For inference, and for a frozen weight's products in training.
//
// x[n] ~ s[n] p[n] and w[o] ~ t[o] q[o] with s = max|x[n]| / 127, t = max|w[o]| / 127 and p, q in
// [-127, 127], so x wᵀ ~ s[n] t[o] (p qᵀ), summed in 32 bits. Source: "LLM.int8()",
// arXiv:2208.07339, section 3.1 (vector-wise quantization), without its outlier columns. A row with
// an infinity or a NaN gives NaN.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::kernels {

struct Int8Rows {
  at::Tensor values;  // int8 [N, F]
  at::Tensor scales;  // fp32 [N]
};

// Rounds x [N, F] fp32 or bf16 contiguous by rows to whole numbers in [-levels, levels], into the
// memory of `rounded`: N rows of F.
void round_rows(const at::Tensor& x, const Int8Rows& rounded, int levels = 127);
// Levels of a weight: 127, or 63 on an x86 processor without VNNI, where pairs of products are
// summed in 16 bits and larger ones would not fit (oneDNN, "Nuances of int8 Computations").
int weight_levels();

// x wᵀ + bias: x [N, in] fp32 or bf16 on the CPU, weight [out, in], bias fp32 [out] or undefined ->
// [N, out] in x's type. Not differentiable.
at::Tensor int8_product(const at::Tensor& x, const Int8Rows& weight, const at::Tensor& bias);
// g w: g [N, out] -> [N, in] in g's type. The weight's scales go into g before its rows are rounded
// in their turn (SwitchBack: Wortsman et al. 2023, https://arxiv.org/abs/2304.13013).
at::Tensor int8_input_gradient(const at::Tensor& g, const Int8Rows& weight);

// A weight laid out once for many products of few rows each (see PackedWeight in product.h), of
// which a product is one pass: the same bits. A copy of the weight's size.
struct PackedInt8 {
  at::Tensor panels;   // int8, as the block products read them
  at::Tensor scales;   // fp32 [out]
  at::Tensor offsets;  // int32 [out]: what rows of x add that are rounded to unsigned numbers
  int64_t out = 0, in = 0;
};
// Whether this processor has products of them, and the weight's sums fit into 32 bits.
bool can_pack(const Int8Rows& weight);
PackedInt8 packed(const Int8Rows& weight);  // REQUIRES: can_pack
at::Tensor int8_product(const at::Tensor& x, const PackedInt8& weight, const at::Tensor& bias);

at::Tensor int8_product_reference(const at::Tensor& x, const Int8Rows& weight,
                                  const at::Tensor& bias);

}  // namespace hone::kernels
