#include "tasks/divergence.h"

#include <ATen/ATen.h>

namespace hone {

// KL(p‖q) + KL(q‖p) = Σ (p - q) (log p - log q).
at::Tensor class_divergence(const at::Tensor& a, const at::Tensor& b,
                            const at::Tensor& has_target) {
  const at::Tensor log_p = at::log_softmax(a, 1), log_q = at::log_softmax(b, 1);
  const at::Tensor rows = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1);
  return at::where(has_target, rows, 0).sum() / 2;
}

// There the difference of the logarithms is that of the logits.
at::Tensor label_divergence(const at::Tensor& a, const at::Tensor& b,
                            const at::Tensor& has_target) {
  return at::where(has_target, (a.sigmoid() - b.sigmoid()) * (a - b), 0).sum() / 2;
}

at::Tensor squared_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).square().sum();
}

}  // namespace hone
