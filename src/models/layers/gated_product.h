// A linear layer behind a gated activation, where training keeps one of their values, not two.
#pragma once

#include "models/layers/linear.h"

namespace hone {

// linear(g(x)) of a gated activation g: x [R, 2 in] -> [R, out]. Backward needs x, and computes
// g(x) from it again, to the same bits, instead of keeping it.
at::Tensor gated_product(Linear linear, const at::Tensor& x, const Rows& rows,
                         kernels::Activation activation);

}  // namespace hone
