#include "models/kernels/gpu/dropout.h"

#include <ATen/ops/empty_like.h>

#include "models/kernels/gpu/memory.h"

namespace hone::kernels::gpu {

bool has_dropout(const at::Tensor& x) {
  return is_bf16_or_fp32(x) && x.dim() == 2 && x.size(1) % 2 == 0;
}

at::Tensor dropout(const Launcher& on, const at::Tensor& x, const at::Tensor& keys,
                   const DropoutDecisions& decisions, const at::Tensor& placed_seed) {
  constexpr int64_t kWarpsOfABlock = 8, kWarpColumns = 512;
  const at::Tensor from = dense(x), out = at::empty_like(from);
  const int64_t rows = x.size(0), columns = x.size(1);
  if (from.numel() == 0) return out;
  const unsigned blocks = blocks_for(rows * ((columns + kWarpColumns - 1) / kWarpColumns),
                                     kWarpsOfABlock, 16 * on.processors());
  launch(on, {"dropout.cu", "dropout_" + type_name(x)}, {blocks, 1, 1}, {32 * kWarpsOfABlock, 1, 1},
         as_decisions(decisions, placed_seed), address<const device::i64>(keys),
         static_cast<device::i64>(rows), static_cast<int>(columns), address<const void>(from),
         address<void>(out));
  return out;
}

}  // namespace hone::kernels::gpu
