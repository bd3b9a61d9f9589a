#include "models/kernels/dropout.h"

#include <ATen/ATen.h>

#include "models/kernels/random.h"

namespace hone::kernels {

at::Tensor dropout_mask(int64_t rows, int64_t columns, const DropoutOptions& options) {
  TORCH_CHECK(options.keys.defined() && options.keys.size(0) == rows, "[dropout] expected keys [", rows, "]");
  return row_keep_mask(options.keys, columns, options.p, options.seed, options.site) * dropout_scale(options.p);
}

at::Tensor dropout(const at::Tensor& x, const DropoutOptions& options) {
  if (options.p == 0) return x;
  return (x * dropout_mask(x.size(0), x.size(1), options)).to(x.scalar_type());
}

}  // namespace hone::kernels
