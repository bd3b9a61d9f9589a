// The norm of all gradients, the factor that clips them, and AdamW over all parameters: three
// launches a step, and no number that the host must wait for.
#include "common.h"

namespace {

__device__ inline double sum_of_block(double x, double* of_threads) {
  of_threads[threadIdx.x] = x;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half)
      of_threads[threadIdx.x] += of_threads[threadIdx.x + half];
    __syncthreads();
  }
  return of_threads[0];
}

}  // namespace

// squares[piece]: in double, where squares of fp32 neither overflow nor vanish.
extern "C" __global__ void __launch_bounds__(256)
    gradient_squares(const MovedParameter* parameters, const MovedPiece* pieces, double* squares) {
  __shared__ double of_threads[256];
  const MovedPiece piece = pieces[blockIdx.x];
  const MovedParameter& p = parameters[piece.parameter];
  const i64 begin = static_cast<i64>(piece.begin) * kPieceValues;
  const i64 end = begin + kPieceValues < p.count ? begin + kPieceValues : p.count;
  double sum = 0;
  for (i64 at = begin + threadIdx.x; at < end; at += blockDim.x) {
    const double g = p.gradient[at];
    sum += g * g;
  }
  sum = sum_of_block(sum, of_threads);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// torch.nn.utils.clip_grad_norm_'s factor of the mean gradient, divided by `count`. One block.
extern "C" __global__ void __launch_bounds__(256)
    clip_step(const double* squares, int pieces, double count, double max_norm,
              StepNumbers* numbers) {
  __shared__ double of_threads[256];
  double sum = 0;
  for (int at = threadIdx.x; at < pieces; at += blockDim.x) sum += squares[at];
  sum = sum_of_block(sum, of_threads);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum) / count;
  const double factor = max_norm > 0 ? max_norm / (norm + 1e-6) : 1.0;
  numbers->squares = sum;
  numbers->scale = static_cast<float>((factor < 1 ? factor : 1.0) / count);
  const bool is_number = norm - norm == 0 && numbers->loss - numbers->loss == 0;
  if (!is_number) numbers->is_failed = 1;
}

// The order of operations is that of adamw_simd.cpp.
extern "C" __global__ void __launch_bounds__(256)
    adamw(const MovedParameter* parameters, const MovedPiece* pieces, AdamWNumbers step,
          const StepNumbers* numbers) {
  if (numbers->is_failed) return;
  const float scale = numbers->scale;
  const MovedPiece piece = pieces[blockIdx.x];
  const MovedParameter p = parameters[piece.parameter];
  const i64 begin = static_cast<i64>(piece.begin) * kPieceValues;
  const i64 end = begin + kPieceValues < p.count ? begin + kPieceValues : p.count;
  for (i64 at = begin + threadIdx.x; at < end; at += blockDim.x) {
    const float g = p.gradient[at] * scale, before = p.exp_avg[at];
    const float m = fmaf(step.one_minus_beta1, g - before, before);
    const float v = fmaf(step.one_minus_beta2 * g, g, step.beta2 * p.exp_avg_sq[at]);
    const float denominator = fmaf(sqrtf(v), p.inverse_root, step.eps);
    const float value = fmaf(-p.step_size, m / denominator, p.value[at] * p.decay);
    p.exp_avg[at] = m;
    p.exp_avg_sq[at] = v;
    p.value[at] = value;
    if (p.shadow != nullptr) p.shadow[at] = narrowed(value);
  }
}
