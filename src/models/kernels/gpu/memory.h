// Tensors as the kernels take them.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "models/kernels/dropout_decisions.h"
#include "models/kernels/gpu/device/parameters.h"
#include "models/kernels/gpu/launcher.h"
#include "models/kernels/tensors.h"

namespace hone::kernels::gpu {

inline bool is_bf16_or_fp32(const at::Tensor& x) {
  return is_bf16(x) || x.scalar_type() == at::kFloat;
}
inline std::string type_name(const at::Tensor& x) { return is_bf16(x) ? "bf16" : "fp32"; }

// Row after row, from an address that eight neighbours can be read from at once.
inline at::Tensor dense(const at::Tensor& x) {
  const at::Tensor rows = x.contiguous();
  return reinterpret_cast<std::uintptr_t>(rows.const_data_ptr()) % 16 == 0 ? rows : rows.clone();
}

// The address of an element, null of an undefined tensor; `T` is the kernel's word for its type.
template <class T>
T* address(const at::Tensor& x) {
  return x.defined() ? static_cast<T*>(x.data_ptr()) : nullptr;
}

// `placed_seed`: as DropoutOptions has it.
inline device::Decisions as_decisions(const DropoutDecisions& of, const at::Tensor& placed_seed) {
  return {.seed = of.seed,
          .seed_at = address<const device::u64>(placed_seed),
          .site = of.site,
          .threshold = of.threshold,
          .scale = of.scale};
}

// Blocks that share `work` pieces of which each takes `each` at a time, at most `most`.
inline unsigned blocks_for(int64_t work, int64_t each, int64_t most) {
  return static_cast<unsigned>(std::clamp<int64_t>((work + each - 1) / each, 1, most));
}

}  // namespace hone::kernels::gpu
