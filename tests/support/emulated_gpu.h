// An emulated card with all of hone's kernels. To be included by one file of a program: kernels are
// functions of C.
#pragma once

#include "support/gpu_emulator.h"

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)
#define threadIdx (block().now->index)
#define blockIdx (block().index)
#define blockDim (block().block_size)
#define gridDim (block().grid_size)
#define __syncthreads() block().wait(State::kAtBlockBarrier)
#define __shfl_xor_sync(mask, x, offset) exchange_xor(x, offset)
#define __uint_as_float uint_as_float
#define __float_as_uint float_as_uint
#define __umulhi umulhi

namespace hone::emulated {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#include "models/kernels/gpu/device/activation.cu"
#include "models/kernels/gpu/device/dropout.cu"
#include "models/kernels/gpu/device/embedding.cu"
#include "models/kernels/gpu/device/norm_1024.cu"
#include "models/kernels/gpu/device/norm_4096.cu"
#include "models/kernels/gpu/device/norm_512.cu"
#include "models/kernels/gpu/device/norm_8192.cu"
#include "models/kernels/gpu/device/optimizer.cu"
#include "models/kernels/gpu/device/sums.cu"
#pragma GCC diagnostic pop

#define HONE_CALL(name) {#name, call_of(name)}
#define HONE_CALLS_OF_BOTH_TYPES(name) HONE_CALL(name##_bf16), HONE_CALL(name##_fp32)

inline const Emulator& emulator() {
  static const Emulator all({HONE_CALLS_OF_BOTH_TYPES(norm_forward_512),
                             HONE_CALLS_OF_BOTH_TYPES(norm_backward_512),
                             HONE_CALLS_OF_BOTH_TYPES(norm_forward_1024),
                             HONE_CALLS_OF_BOTH_TYPES(norm_backward_1024),
                             HONE_CALLS_OF_BOTH_TYPES(norm_forward_4096),
                             HONE_CALLS_OF_BOTH_TYPES(norm_backward_4096),
                             HONE_CALLS_OF_BOTH_TYPES(norm_forward_8192),
                             HONE_CALLS_OF_BOTH_TYPES(norm_backward_8192),
                             HONE_CALLS_OF_BOTH_TYPES(activation_forward),
                             HONE_CALLS_OF_BOTH_TYPES(activation_backward),
                             HONE_CALLS_OF_BOTH_TYPES(gated_forward),
                             HONE_CALLS_OF_BOTH_TYPES(gated_backward),
                             HONE_CALLS_OF_BOTH_TYPES(dropout),
                             HONE_CALL(sum_lines),
                             HONE_CALL(embedding_sum),
                             HONE_CALL(embedding_keys),
                             HONE_CALL(embedding_runs),
                             HONE_CALL(gradient_squares),
                             HONE_CALL(clip_step),
                             HONE_CALL(adamw)});
  return all;
}

}  // namespace hone::emulated

#undef __device__
#undef __global__
#undef __shared__
#undef __launch_bounds__
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#undef __syncthreads
#undef __shfl_xor_sync
#undef __uint_as_float
#undef __float_as_uint
#undef __umulhi
#undef HONE_CALL
#undef HONE_CALLS_OF_BOTH_TYPES
