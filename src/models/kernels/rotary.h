// Rotary positions (Su et al. 2021, "RoFormer", https://arxiv.org/abs/2104.09864): pairs of a
// head's values are turned by an angle that grows with the token's position, so that q k^T sees
// distances alone.
//
// Column c pairs with column c + pairs, as in Transformers' rotate_half (Llama, ModernBERT,
// GPT-NeoX); columns from 2 * pairs on stay as they are.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

// Undefined: nothing is rotated.
struct Rotary {
  at::Tensor cosine, sine;  // [positions, pairs] fp32, contiguous, on the device of what they turn
};

// 1 / theta^(2 i / columns) for each of columns / 2 pairs, fp32. REQUIRES: an even number of
// columns.
at::Tensor rotary_frequencies(double theta, int64_t columns);
// Angles position * frequency, in fp32 as models were trained with. A family that scales positions
// changes the frequencies; `factor` multiplies cosine and sine (YaRN's attention factor).
Rotary rotary_of(const at::Tensor& frequencies, int64_t positions, double factor = 1);

// x [N, heads, dim] with its rows at `positions` [N] int64, rounded once to x's type. Composed of
// plain ATen operations where it is differentiated. Attention turns q and k by itself
// (attention.h), but for those of a cache.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& positions, const Rotary& rotary);

}  // namespace hone::kernels
