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
// Of whole numbers, k a multiple of 4; b comes in fours of rows: [k / 4, n, 4]. REQUIRES:
// can_multiply_int8().
void multiply(int64_t m, int64_t n, int64_t k, const uint8_t* a, int64_t lda, const int8_t* b,
              int64_t ldb, int32_t* c, int64_t ldc, bool adds);
void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
              int64_t ldb, float* c, int64_t ldc, bool adds);
// c [m, n] = a b, each value summed in chains of kChain products that are added in their turn: the
// error of a sum in which one product outweighs the others, as where a channel of a decoder's
// states is huge, grows with the root of its chain's length. `multiply` makes one chain, which goes
// on where it adds.
constexpr int64_t kChain = 128;
void multiply_in_chains(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                        const float* b, int64_t ldb, float* c, int64_t ldc);
bool can_multiply_bf16();   // fast on this processor
bool can_multiply_int8();   // likewise
void release_multiplier();  // after the last product of a thread

}  // namespace hone::kernels
