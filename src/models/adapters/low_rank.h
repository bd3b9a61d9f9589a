// Products of low rank that are added to a layer's: LoRA (Hu et al. 2021,
// https://arxiv.org/abs/2106.09685).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "models/kernels/dropout.h"

namespace hone {

// scaling * B A dropout(x), beside the columns [begin, begin + out) of a layer's output.
struct LowRank {
  at::Tensor a;  // [r, in] fp32
  at::Tensor b;  // [out, r] fp32
  double scaling = 1;
  kernels::DropoutOptions dropout = {};  // of x's rows, for this product alone
  int64_t begin = 0;
};

// Adds them to y [N, columns], in place where y stands by itself, and returns it. Products without
// dropout read x [N, in] once, all of them. For backward only x and the products A x [N, r] are
// kept; dropout's decisions are made again.
at::Tensor add_low_rank(const at::Tensor& y, const at::Tensor& x,
                        const std::vector<LowRank>& products);

}  // namespace hone
