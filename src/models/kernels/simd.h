// What every SIMD kernel includes first: which instruction sets are compiled, and the types shared
// with its callers.
//
// A kernel is written once against Google Highway, compiled per instruction set by foreach_target.h
// and chosen at run time. Arithmetic is fp32 on widened values. Vectors have at most 16 lanes, so
// scratch rows padded to 16 floats never need a tail.
#pragma once

// On x86: SSE4 (every 64-bit processor since 2008) is the floor, then AVX2 and AVX-512. Elsewhere
// Highway's own list.
#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS HWY_SSSE3
#endif

#include <cstddef>
#include <cstdint>

namespace hone::kernels {

struct Bf16 {
  uint16_t bits;  // the layout of c10::BFloat16
};

constexpr int64_t kLanes = 16;
constexpr int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

}  // namespace hone::kernels
