// Products of blocks that fit a core's cache, on the calling thread: what attention and the
// products of layers are made of. A row's bits do not depend on the rows beside it.
#pragma once

#include <cstdint>

#include "models/kernels/simd.h"

namespace hone::kernels {

// c [m, n] (+)= a [m, k] b [k, n], row-major with leading dimensions, n a multiple of 16; b of bf16
// comes in pairs of rows: [k / 2, n, 2].
void multiply(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b,
              int64_t ldb, float* c, int64_t ldc, bool adds);
void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
              int64_t ldb, float* c, int64_t ldc, bool adds);
bool can_multiply_bf16();   // fast on this processor
void release_multiplier();  // after the last product of a thread

}  // namespace hone::kernels
