// f(x + bias) and the gated f(first half) * second half, forward and backward: eight neighbours of
// a row at a time. The gradient of the bias is summed on the way, in two stages.
#include "common.h"

namespace {

// As enum Activation of activation.h counts them.
enum Function { kGelu, kGeluTanh, kRelu, kSilu, kTanh };

constexpr float kTwoOverPiRoot = 0.7978845608028654f, kCube = 0.044715f;  // of GELU's tanh form

__device__ inline float value_of(int function, float x) {
  switch (function) {
    case kGelu:
      return 0.5f * x * (1 + erff(x * 0.7071067811865476f));
    case kGeluTanh:
      return 0.5f * x * (1 + tanhf(kTwoOverPiRoot * (x + kCube * x * x * x)));
    case kRelu:
      return x < 0 ? 0.0f : x;  // a NaN stays one
    case kSilu:
      return x / (1 + expf(-x));
    default:
      return tanhf(x);
  }
}

__device__ inline float slope_of(int function, float x) {
  switch (function) {
    case kGelu:
      return 0.5f * (1 + erff(x * 0.7071067811865476f)) +
             x * 0.3989422804014327f * expf(-0.5f * x * x);
    case kGeluTanh: {
      const float t = tanhf(kTwoOverPiRoot * (x + kCube * x * x * x));
      return 0.5f * (1 + t) +
             0.5f * x * (1 - t * t) * kTwoOverPiRoot * (1 + 3 * kCube * x * x);
    }
    case kRelu:
      return x > 0 ? 1.0f : x <= 0 ? 0.0f : x;
    case kSilu: {
      const float s = 1 / (1 + expf(-x));
      return s * (1 + x * (1 - s));
    }
    default: {
      const float t = tanhf(x);
      return 1 - t * t;
    }
  }
}

template <class T>
__device__ inline Eight with_bias(const ActivationRows& how, const T* x, i64 row, int column) {
  Eight sum = load_eight(x + row * how.columns + column);
  if (how.bias == nullptr) return sum;
  const Eight bias = load_eight(how.bias + column);
  HONE_UNROLL
  for (int i = 0; i < 8; ++i) sum.v[i] += bias.v[i];
  return sum;
}

// Blocks of 32 x 8 threads: eight columns to a thread's x, every 8th row of the block's to its y.
template <class T>
__device__ inline void activation_forward(const ActivationRows& how, const T* x, T* out) {
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x) * 8;
  if (column >= how.columns) return;
  for (i64 row = static_cast<i64>(blockIdx.y) * 8 + threadIdx.y; row < how.rows;
       row += static_cast<i64>(gridDim.y) * 8) {
    Eight y = with_bias(how, x, row, column);
    HONE_UNROLL
    for (int i = 0; i < 8; ++i) y.v[i] = value_of(how.function, y.v[i]);
    store_eight(out + row * how.columns + column, y);
  }
}

template <class T>
__device__ inline void activation_backward(const ActivationRows& how, const T* grad, const T* x,
                                           T* dx) {
  __shared__ float of_rows[8][32 * 8];
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x) * 8;
  Eight sum = {};
  if (column < how.columns) {
    for (i64 row = static_cast<i64>(blockIdx.y) * 8 + threadIdx.y; row < how.rows;
         row += static_cast<i64>(gridDim.y) * 8) {
      Eight y = with_bias(how, x, row, column);
      const Eight g = load_eight(grad + row * how.columns + column);
      HONE_UNROLL
      for (int i = 0; i < 8; ++i) {
        y.v[i] = g.v[i] * slope_of(how.function, y.v[i]);
        sum.v[i] += y.v[i];
      }
      store_eight(dx + row * how.columns + column, y);
    }
  }
  if (how.partial == nullptr) return;
  HONE_UNROLL
  for (int i = 0; i < 8; ++i) of_rows[threadIdx.y][threadIdx.x * 8 + i] = sum.v[i];
  __syncthreads();
  if (threadIdx.y != 0 || column >= how.columns) return;
  for (int i = 0; i < 8; ++i) {
    float total = 0;
    for (int y = 0; y < 8; ++y) total += of_rows[y][threadIdx.x * 8 + i];
    how.partial[static_cast<i64>(blockIdx.y) * how.columns + column + i] = total;
  }
}

// x [rows, 2 columns] -> out [rows, columns]; no bias.
template <class T>
__device__ inline void gated_forward(const ActivationRows& how, const T* x, T* out) {
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x) * 8;
  if (column >= how.columns) return;
  for (i64 row = static_cast<i64>(blockIdx.y) * 8 + threadIdx.y; row < how.rows;
       row += static_cast<i64>(gridDim.y) * 8) {
    const T* gate = x + 2 * row * how.columns + column;
    Eight y = load_eight(gate);
    const Eight up = load_eight(gate + how.columns);
    HONE_UNROLL
    for (int i = 0; i < 8; ++i) y.v[i] = value_of(how.function, y.v[i]) * up.v[i];
    store_eight(out + row * how.columns + column, y);
  }
}

template <class T>
__device__ inline void gated_backward(const ActivationRows& how, const T* grad, const T* x, T* dx) {
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x) * 8;
  if (column >= how.columns) return;
  for (i64 row = static_cast<i64>(blockIdx.y) * 8 + threadIdx.y; row < how.rows;
       row += static_cast<i64>(gridDim.y) * 8) {
    const i64 at = 2 * row * how.columns + column;
    Eight gate = load_eight(x + at), up = load_eight(x + at + how.columns);
    const Eight g = load_eight(grad + row * how.columns + column);
    HONE_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float value = value_of(how.function, gate.v[i]);
      gate.v[i] = g.v[i] * up.v[i] * slope_of(how.function, gate.v[i]);
      up.v[i] = g.v[i] * value;
    }
    store_eight(dx + at, gate);
    store_eight(dx + at + how.columns, up);
  }
}

}  // namespace

#define HONE_ACTIVATION(name, T)                                                                  \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      activation_forward_##name(ActivationRows how, const T* x, T* out) {                         \
    activation_forward(how, x, out);                                                              \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      activation_backward_##name(ActivationRows how, const T* grad, const T* x, T* dx) {          \
    activation_backward(how, grad, x, dx);                                                        \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      gated_forward_##name(ActivationRows how, const T* x, T* out) {                              \
    gated_forward(how, x, out);                                                                   \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      gated_backward_##name(ActivationRows how, const T* grad, const T* x, T* dx) {               \
    gated_backward(how, grad, x, dx);                                                             \
  }

HONE_ACTIVATION(bf16, u16)
HONE_ACTIVATION(fp32, float)
#undef HONE_ACTIVATION
