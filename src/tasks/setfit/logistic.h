// Logistic regression with an L2 penalty, solved for.
#pragma once

#include <ATen/core/Tensor.h>

namespace hone::setfit {

struct LogisticWeights {
  at::Tensor weight, bias;  // [C, H], [C] fp64
};

// What minimises c * (sum of cross-entropies) + half of the squared weights, as scikit-learn's
// LogisticRegression(C=c) does: of two classes the penalty is on the difference of their weights.
// x [N, H], classes [N] int64. By L-BFGS in fp64.
LogisticWeights solve_logistic(const at::Tensor& x, const at::Tensor& classes, int64_t count,
                               double c);

}  // namespace hone::setfit
