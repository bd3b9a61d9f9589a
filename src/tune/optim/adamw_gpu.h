// AdamW on a GPU by hone's own kernels: the norm of the gradients, the factor that clips them and
// the update of all parameters are three launches, with no number that the host waits for.
#pragma once

#include <vector>

#include "models/kernels/gpu/device/parameters.h"
#include "models/kernels/gpu/launcher.h"

namespace hone {

// A parameter as a step finds it; all fp32 but for the shadow, which may be undefined.
struct GpuParameter {
  at::Tensor value, gradient, exp_avg, exp_avg_sq, shadow;
  double decay = 1;         // 1 - rate * weight decay
  double step_size = 0;     // rate / (1 - beta1^t)
  double inverse_root = 1;  // 1 / sqrt(1 - beta2^t)
};

// Where a step's numbers stand in the device's memory: device::StepNumbers, as doubles.
at::Tensor make_step_numbers(const at::TensorOptions& options);

class GpuAdamW {
 public:
  explicit GpuAdamW(const kernels::gpu::Launcher& on) : on_(on) {}

  // What the two below work on, until it is called again.
  void take(const std::vector<GpuParameter>& parameters);
  // Norm and scale into `numbers`: of gradients that are sums over `count` targets, clipped to
  // `max_norm` (0: not clipped).
  void measure(double count, double max_norm, const at::Tensor& numbers);
  // Nothing moves where `numbers` say that a step failed.
  void update(const kernels::gpu::device::AdamWNumbers& step, const at::Tensor& numbers);
  // The same with gradients multiplied by `scale`.
  void update(const kernels::gpu::device::AdamWNumbers& step, double scale);

 private:
  void cut(const std::vector<int64_t>& counts, const at::TensorOptions& options);

  const kernels::gpu::Launcher& on_;
  std::vector<int64_t> counts_;  // of the parameters that `pieces_` is of
  at::Tensor parameters_, pieces_, squares_;
  std::vector<at::Tensor> kept_;  // what the launches read
};

}  // namespace hone
