// norm(residual + dropout(x)) * weight + bias by rows, and its backward pass: one reading and one
// writing of memory. Statistics, sums and the gradients of weights in fp32.
//
// A row is a team's: one warp's up to 1,024 columns, all eight warps' of a block beyond. Lane l of
// a team's warp has two neighbours every 16 columns of a group of 128, as dropout's decisions lie:
// four groups to a warp at a time, K times.
#ifndef HONE_MODELS_KERNELS_GPU_DEVICE_NORM_H_
#define HONE_MODELS_KERNELS_GPU_DEVICE_NORM_H_

#include "common.h"

namespace {

template <int Team>
__device__ inline float sum_of_team(float x) {
  x = sum_of_warp(x);
  if (Team == 1) return x;
  __shared__ float of_warps[kWarps];
  const int warp = threadIdx.x / 32;
  __syncthreads();  // the last sum has been read
  if (threadIdx.x % 32 == 0) of_warps[warp] = x;
  __syncthreads();
  float sum = 0;
  HONE_UNROLL
  for (int i = 0; i < kWarps; ++i) sum += of_warps[i];
  return sum;
}

// The columns of this thread.
template <int Team>
struct Place {
  int warp, lane;
  __device__ Place() : warp(threadIdx.x / 32 % Team), lane(threadIdx.x % 32) {}
  __device__ int group(int k) const { return (k * Team + warp) * 4 + lane / 8; }
  __device__ int first() const { return lane % 8 * 2; }
  __device__ int column(int k, int i) const { return group(k) * 128 + first() + 16 * i; }
};

// x and residual's row: their sum, and which of x was kept.
template <int Team, int K, class T>
__device__ inline void load_row(const NormRows& how, const T* x, const T* residual, i64 row,
                                const Place<Team>& place, float (&sum)[K][16], u32 (&kept)[K]) {
  const i64 begin = row * how.columns;
  const float scale = how.dropout.threshold == 0 ? 1.0f : how.dropout.scale;
  const i64 key = how.keys == nullptr ? 0 : how.keys[row];
  HONE_UNROLL
  for (int k = 0; k < K; ++k) {
    const bool is_there = place.column(k, 0) < how.columns;
    kept[k] = is_there ? kept_pairs(how.dropout, key, place.group(k), place.first()) : 0;
    HONE_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int column = place.column(k, i);
      Pair pair = {0, 0}, old = {0, 0};
      if (column < how.columns) {
        pair = load_pair(x + begin + column);
        if (residual != nullptr) old = load_pair(residual + begin + column);
      }
      sum[k][2 * i] = (kept[k] >> i & 1 ? pair.a * scale : 0.0f) + old.a;
      sum[k][2 * i + 1] = (kept[k] >> (8 + i) & 1 ? pair.b * scale : 0.0f) + old.b;
    }
  }
}

template <int Team, int K, class T>
__device__ inline void norm_forward(const NormRows& how, const T* x, const T* residual, T* out) {
  const Place<Team> place;
  constexpr int kTeams = kWarps / Team;
  for (i64 row = static_cast<i64>(blockIdx.x) * kTeams + threadIdx.x / 32 / Team; row < how.rows;
       row += static_cast<i64>(gridDim.x) * kTeams) {
    float sum[K][16];
    u32 kept[K];
    load_row<Team, K>(how, x, residual, row, place, sum, kept);
    float total = 0, squares = 0, mean = 0;
    if (how.centred) {
      HONE_UNROLL
      for (int k = 0; k < K; ++k) {
        HONE_UNROLL
        for (int i = 0; i < 16; ++i) total += sum[k][i];
      }
      mean = sum_of_team<Team>(total) / how.columns;
    }
    HONE_UNROLL
    for (int k = 0; k < K; ++k) {
      HONE_UNROLL
      for (int i = 0; i < 16; ++i) {
        const float distance = sum[k][i] - mean;
        squares += place.column(k, i / 2) < how.columns ? distance * distance : 0.0f;
      }
    }
    const float inverse = rsqrtf(sum_of_team<Team>(squares) / how.columns + how.eps);
    if (how.statistics != nullptr && place.warp == 0 && place.lane == 0) {
      how.statistics[2 * row] = mean;
      how.statistics[2 * row + 1] = inverse;
    }
    HONE_UNROLL
    for (int k = 0; k < K; ++k) {
      HONE_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int column = place.column(k, i);
        if (column >= how.columns) continue;
        const Pair weight = load_pair(how.weight + column);
        const Pair bias = how.bias == nullptr ? Pair{0, 0} : load_pair(how.bias + column);
        store_pair(out + row * how.columns + column,
                   (sum[k][2 * i] - mean) * inverse * weight.a + bias.a,
                   (sum[k][2 * i + 1] - mean) * inverse * weight.b + bias.b);
      }
    }
  }
}

// Sums of a block's teams, one after the other, into the block's two lines of `partial`.
template <int Team, int K>
__device__ inline void write_partial(const NormRows& how, const Place<Team>& place,
                                     const float (&dweight)[K][16], const float (&dbias)[K][16]) {
  constexpr int kTeams = kWarps / Team, kMost = kTeams == 1 ? 1 : K * 512;
  __shared__ float sums[2][kMost];  // of the teams so far, where a block has several
  float* line = how.partial + static_cast<i64>(blockIdx.x) * 2 * how.columns;
  for (int team = 0; team < kTeams; ++team) {
    if (static_cast<int>(threadIdx.x) / 32 / Team == team) {
      HONE_UNROLL
      for (int k = 0; k < K; ++k) {
        HONE_UNROLL
        for (int i = 0; i < 16; ++i) {
          const int column = place.column(k, i / 2) + i % 2;
          if (column >= how.columns) continue;
          float weight = dweight[k][i], bias = dbias[k][i];
          if (team > 0) weight += sums[0][column], bias += sums[1][column];
          if (team + 1 < kTeams) {
            sums[0][column] = weight, sums[1][column] = bias;
          } else {
            line[column] = weight, line[how.columns + column] = bias;
          }
        }
      }
    }
    __syncthreads();
  }
}

// `dresidual` may be `dx` itself, or null.
template <int Team, int K, class T>
__device__ inline void norm_backward(const NormRows& how, const T* grad, const T* x,
                                     const T* residual, T* dx, T* dresidual) {
  const Place<Team> place;
  constexpr int kTeams = kWarps / Team;
  const float scale = how.dropout.threshold == 0 ? 1.0f : how.dropout.scale;
  float dweight[K][16] = {}, dbias[K][16] = {};
  for (i64 row = static_cast<i64>(blockIdx.x) * kTeams + threadIdx.x / 32 / Team; row < how.rows;
       row += static_cast<i64>(gridDim.x) * kTeams) {
    const i64 begin = row * how.columns;
    float hat[K][16], g[K][16];
    u32 kept[K];
    load_row<Team, K>(how, x, residual, row, place, hat, kept);
    const float mean = how.statistics[2 * row], inverse = how.statistics[2 * row + 1];
    float of_g = 0, of_both = 0;
    HONE_UNROLL
    for (int k = 0; k < K; ++k) {
      HONE_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int column = place.column(k, i);
        const bool is_there = column < how.columns;
        const Pair dy = is_there ? load_pair(grad + begin + column) : Pair{0, 0};
        const Pair weight = is_there ? load_pair(how.weight + column) : Pair{0, 0};
        HONE_UNROLL
        for (int p = 0; p < 2; ++p) {
          const int at = 2 * i + p;
          const float upstream = p == 0 ? dy.a : dy.b;
          hat[k][at] = is_there ? (hat[k][at] - mean) * inverse : 0.0f;
          dweight[k][at] += upstream * hat[k][at];
          dbias[k][at] += upstream;
          g[k][at] = upstream * (p == 0 ? weight.a : weight.b);
          of_g += g[k][at];
          of_both += g[k][at] * hat[k][at];
        }
      }
    }
    of_g = how.centred ? sum_of_team<Team>(of_g) / how.columns : 0.0f;
    of_both = sum_of_team<Team>(of_both) / how.columns;
    HONE_UNROLL
    for (int k = 0; k < K; ++k) {
      HONE_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int column = place.column(k, i);
        if (column >= how.columns) continue;
        const float a = inverse * (g[k][2 * i] - of_g - hat[k][2 * i] * of_both);
        const float b = inverse * (g[k][2 * i + 1] - of_g - hat[k][2 * i + 1] * of_both);
        if (dresidual != nullptr) store_pair(dresidual + begin + column, a, b);
        if (dresidual != dx)
          store_pair(dx + begin + column, kept[k] >> i & 1 ? a * scale : 0.0f,
                     kept[k] >> (8 + i) & 1 ? b * scale : 0.0f);
      }
    }
  }
  write_partial<Team, K>(how, place, dweight, dbias);
}

}  // namespace

#define HONE_NORM(name, Team, K, T)                                                      \
  extern "C" __global__ void __launch_bounds__(256)                                      \
      norm_forward_##name(NormRows how, const T* x, const T* residual, T* out) {         \
    norm_forward<Team, K>(how, x, residual, out);                                        \
  }                                                                                      \
  extern "C" __global__ void __launch_bounds__(256) norm_backward_##name(                \
      NormRows how, const T* grad, const T* x, const T* residual, T* dx, T* dresidual) { \
    norm_backward<Team, K>(how, grad, x, residual, dx, dresidual);                       \
  }

#endif  // HONE_MODELS_KERNELS_GPU_DEVICE_NORM_H_
