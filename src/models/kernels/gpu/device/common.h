// What all kernels for a GPU share. Nothing is included from outside, so that NVRTC needs no
// toolkit; tests compile the same files for the processor.
#ifndef HONE_MODELS_KERNELS_GPU_DEVICE_COMMON_H_
#define HONE_MODELS_KERNELS_GPU_DEVICE_COMMON_H_

#include "parameters.h"

using namespace hone::kernels::gpu::device;

#ifdef __CUDACC__
#define HONE_UNROLL _Pragma("unroll")
#else
#define HONE_UNROLL
#endif

// ---- bf16 as its bits ----

__device__ inline float widened(u16 bits) { return __uint_as_float(static_cast<u32>(bits) << 16); }

// To the nearest, ties to even; a NaN stays one.
__device__ inline u16 narrowed(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  const u32 bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return static_cast<u16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

// ---- two neighbours of a row, eight of them: as memory likes to be read ----

struct Pair {
  float a, b;
};

__device__ inline Pair load_pair(const float* at) {
  const float2 both = *reinterpret_cast<const float2*>(at);
  return {both.x, both.y};
}
__device__ inline Pair load_pair(const u16* at) {
  const u32 both = *reinterpret_cast<const u32*>(at);
  return {widened(static_cast<u16>(both)), widened(static_cast<u16>(both >> 16))};
}
__device__ inline void store_pair(float* at, float a, float b) {
  *reinterpret_cast<float2*>(at) = make_float2(a, b);
}
__device__ inline void store_pair(u16* at, float a, float b) {
  *reinterpret_cast<u32*>(at) = narrowed(a) | static_cast<u32>(narrowed(b)) << 16;
}

struct Eight {
  float v[8];
};

__device__ inline Eight load_eight(const float* at) {
  const float4 low = reinterpret_cast<const float4*>(at)[0],
               high = reinterpret_cast<const float4*>(at)[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}
__device__ inline Eight load_eight(const u16* at) {
  const uint4 all = *reinterpret_cast<const uint4*>(at);
  const u32 words[4] = {all.x, all.y, all.z, all.w};
  Eight result;
  HONE_UNROLL
  for (int i = 0; i < 8; ++i)
    result.v[i] = widened(static_cast<u16>(words[i / 2] >> (16 * (i % 2))));
  return result;
}
__device__ inline void store_eight(float* at, const Eight& x) {
  reinterpret_cast<float4*>(at)[0] = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
  reinterpret_cast<float4*>(at)[1] = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
}
__device__ inline void store_eight(u16* at, const Eight& x) {
  u32 words[4];
  HONE_UNROLL
  for (int i = 0; i < 4; ++i)
    words[i] = narrowed(x.v[2 * i]) | static_cast<u32>(narrowed(x.v[2 * i + 1])) << 16;
  *reinterpret_cast<uint4*>(at) = make_uint4(words[0], words[1], words[2], words[3]);
}

// ---- dropout's decisions (models/kernels/random.h says what they are) ----

// Philox 4x32-10. Bit i of the result: whether halfword i is kept.
__device__ inline u32 kept_bits(const Decisions& how, i64 key, u32 counter) {
  u32 x0 = static_cast<u32>(key), x1 = static_cast<u32>(static_cast<u64>(key) >> 32), x2 = counter,
      x3 = how.site;
  const u64 seed = how.seed_at == nullptr ? how.seed : *how.seed_at;
  u32 k0 = static_cast<u32>(seed), k1 = static_cast<u32>(seed >> 32);
  HONE_UNROLL
  for (int round = 0; round < 10; ++round) {
    const u32 high0 = __umulhi(x0, 0xD2511F53u), low0 = x0 * 0xD2511F53u;
    const u32 high1 = __umulhi(x2, 0xCD9E8D57u), low1 = x2 * 0xCD9E8D57u;
    x0 = high1 ^ x1 ^ k0, x1 = low1, x2 = high0 ^ x3 ^ k1, x3 = low0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  const u32 words[4] = {x0, x1, x2, x3};
  u32 bits = 0;
  HONE_UNROLL
  for (int i = 0; i < 8; ++i) {
    const u32 half = words[i / 2] >> (16 * (i % 2)) & 0xffffu;
    bits |= static_cast<u32>(half >= how.threshold) << i;
  }
  return bits;
}

// A thread has the columns first + 16 i and first + 16 i + 1, i < 8, of a row's group of 128, first
// even and below 16: two calls. Bit i, and bit 8 + i of the neighbours.
__device__ inline u32 kept_pairs(const Decisions& how, i64 key, int group, int first) {
  if (how.threshold == 0) return 0xffffu;
  const u32 counter = static_cast<u32>(group * 16 + first);
  return kept_bits(how, key, counter) | kept_bits(how, key, counter + 1) << 8;
}

// ---- sums ----

// Of a warp, to all of its lanes; in one order.
__device__ inline float sum_of_warp(float x) {
  HONE_UNROLL
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

#endif  // HONE_MODELS_KERNELS_GPU_DEVICE_COMMON_H_
