// The sum of rows of several tables, and its gradient: of the rows that were looked up alone, added
// up in one order.
#include "common.h"

// out [N, width]; width even. An id outside of its table gives NaN, which no step survives.
extern "C" __global__ void __launch_bounds__(256)
    embedding_sum(Tables tables, i64 count, int width, float* out) {
  const int pairs = width / 2;
  for (i64 at = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; at < count * pairs;
       at += static_cast<i64>(gridDim.x) * blockDim.x) {
    const i64 token = at / pairs;
    const int column = static_cast<int>(at % pairs) * 2;
    Pair sum = {0, 0};
    for (int t = 0; t < tables.count; ++t) {
      const i64 id = tables.ids[t] == nullptr ? 0 : tables.ids[t][token];
      const bool is_there = id >= 0 && id < tables.rows[t];
      const Pair value = is_there ? load_pair(tables.values[t] + id * width + column)
                                  : Pair{__uint_as_float(0x7fc00000u), 0};
      const float scale = t == 0 ? tables.scale : 1.0f;
      sum.a += value.a * scale, sum.b += value.b * scale;
    }
    store_pair(out + token * width + column, sum.a, sum.b);
  }
}

// keys [tables, N]: each id's number among the rows of all tables. An id outside of its table:
// that of row 0, which its NaN then reaches.
extern "C" __global__ void __launch_bounds__(256)
    embedding_keys(Tables tables, TableGradients to, i64 count, int* keys) {
  const i64 all = count * tables.count;
  for (i64 at = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; at < all;
       at += static_cast<i64>(gridDim.x) * blockDim.x) {
    const int t = static_cast<int>(at / count);
    const i64 id = tables.ids[t] == nullptr ? 0 : tables.ids[t][at % count];
    keys[at] = static_cast<int>(to.first[t] + (id >= 0 && id < tables.rows[t] ? id : 0));
  }
}

// Adds up runs of equal keys. `keys` [count] ascend; the row of entry i is row i of `rows`, or,
// with `order`, row order[i] % row_count. A block has kRun entries and 256 columns. Whole runs
// between a block's first and last one go to their table; the first and the last may go on in
// neighbours, so they become entries 2 b and 2 b + 1 of the next level, in order (a block of one
// run gives it and a row of zeros). The last level, of one block, has whole runs alone.
extern "C" __global__ void __launch_bounds__(256)
    embedding_runs(const int* keys, const i64* order, const float* rows, i64 row_count, i64 count,
                   int width, TableGradients to, int tables, int* next_keys, float* next_rows) {
  __shared__ int key_of[kRun];
  __shared__ i64 row_of[kRun];
  const i64 begin = static_cast<i64>(blockIdx.x) * kRun;
  const int entries = static_cast<int>(begin + kRun < count ? kRun : count - begin);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < entries) {
    key_of[thread] = keys[begin + thread];
    row_of[thread] = order == nullptr ? begin + thread : order[begin + thread] % row_count;
  }
  __syncthreads();
  const bool is_last_level = next_keys == nullptr;
  const int column = static_cast<int>(blockIdx.y * blockDim.x) + thread;
  const int first_key = key_of[0], last_key = key_of[entries - 1];
  if (!is_last_level && column == 0) {
    next_keys[2 * blockIdx.x] = first_key;
    next_keys[2 * blockIdx.x + 1] = last_key;
  }
  if (column >= width) return;
  float* next = is_last_level ? nullptr : next_rows + 2 * static_cast<i64>(blockIdx.x) * width;
  if (!is_last_level && first_key == last_key) next[width + column] = 0;
  float sum = 0;
  bool is_first = true;
  for (int at = 0; at < entries; ++at) {
    sum += rows[row_of[at] * width + column];
    const int key = key_of[at];
    if (at + 1 < entries && key_of[at + 1] == key) continue;
    int t = tables - 1;
    while (key < to.first[t]) --t;
    // Rows of later levels are scaled already.
    if (t == 0 && order != nullptr) sum *= to.scale;
    if (!is_last_level && is_first) {
      next[column] = sum;
    } else if (!is_last_level && at + 1 == entries) {
      next[width + column] = sum;
    } else {
      to.values[t][(key - to.first[t]) * width + column] += sum;
    }
    is_first = false;
    sum = 0;
  }
}
