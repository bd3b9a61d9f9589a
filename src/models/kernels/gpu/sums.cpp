#include "models/kernels/gpu/sums.h"

#include <ATen/ops/empty.h>

#include "models/kernels/gpu/memory.h"

namespace hone::kernels::gpu {

at::Tensor sum_lines(const Launcher& on, const at::Tensor& partial) {
  const at::Tensor out = at::empty({partial.size(1)}, partial.options());
  launch(on, {"sums.cu", "sum_lines"}, {blocks_for(partial.size(1), 32, 1 << 30), 1, 1},
         {32, 32, 1}, static_cast<const float*>(address<float>(partial)),
         static_cast<device::i64>(partial.size(0)), static_cast<device::i64>(partial.size(1)),
         address<float>(out));
  return out;
}

}  // namespace hone::kernels::gpu
