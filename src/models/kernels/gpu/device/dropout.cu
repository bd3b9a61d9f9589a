// x * mask / (1 - p), with the decisions of the CPU's kernel. Its own backward pass.
#include "common.h"

namespace {

// A warp has four groups of 128 columns at a time, as in norm.cu.
template <class T>
__device__ inline void dropout_rows(const Decisions& how, const i64* keys, i64 rows, int columns,
                                    const T* x, T* out) {
  const int groups = (columns + 127) / 128, lane = threadIdx.x % 32;
  const i64 pieces = rows * ((groups + 3) / 4);
  for (i64 piece = static_cast<i64>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
       piece < pieces; piece += static_cast<i64>(gridDim.x) * (blockDim.x / 32)) {
    const i64 row = piece / ((groups + 3) / 4);
    const int group = static_cast<int>(piece % ((groups + 3) / 4)) * 4 + lane / 8;
    const int first = lane % 8 * 2;
    if (group * 128 + first >= columns) continue;
    const u32 kept = kept_pairs(how, keys[row], group, first);
    HONE_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int column = group * 128 + first + 16 * i;
      if (column >= columns) break;
      const Pair pair = load_pair(x + row * columns + column);
      store_pair(out + row * columns + column, kept >> i & 1 ? pair.a * how.scale : 0.0f,
                 kept >> (8 + i) & 1 ? pair.b * how.scale : 0.0f);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) dropout_bf16(Decisions how, const i64* keys,
                                                               i64 rows, int columns, const u16* x,
                                                               u16* out) {
  dropout_rows(how, keys, rows, columns, x, out);
}
extern "C" __global__ void __launch_bounds__(256) dropout_fp32(Decisions how, const i64* keys,
                                                               i64 rows, int columns,
                                                               const float* x, float* out) {
  dropout_rows(how, keys, rows, columns, x, out);
}
