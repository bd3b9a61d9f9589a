#include "models/kernels/cross_entropy.h"

#include <ATen/ATen.h>

namespace hone::kernels {

at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets, int64_t ignore_index, double label_smoothing) {
  return at::cross_entropy_loss(logits.to(at::kFloat), targets, {}, at::Reduction::Sum, ignore_index, label_smoothing);
}

}  // namespace hone::kernels
