#include "models/kernels/embedding.h"

#include <ATen/ATen.h>

namespace hone::kernels {

at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids) { return at::embedding(table, ids); }

}  // namespace hone::kernels
