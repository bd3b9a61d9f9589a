// The second stage of sums over rows: lines of partial sums, added up in one order.
#include "common.h"

// out[c] = sum over lines of partial[line * columns + c]. Blocks of 32 x 32 threads: a column to a
// thread's x, every 32nd line to its y.
extern "C" __global__ void __launch_bounds__(1024)
    sum_lines(const float* partial, i64 lines, i64 columns, float* out) {
  __shared__ float sums[32][33];
  const i64 column = static_cast<i64>(blockIdx.x) * 32 + threadIdx.x;
  float sum = 0;
  if (column < columns)
    for (i64 line = threadIdx.y; line < lines; line += 32) sum += partial[line * columns + column];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  float total = 0;
  for (int y = 0; y < 32; ++y) total += sums[y][threadIdx.x];
  out[column] = total;
}
