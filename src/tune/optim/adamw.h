// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), the values of torch.optim.AdamW, updated in one pass over memory:
// fp32 masters, moments, gradient scale and clipping factor folded in; the bf16 shadow is written in the same pass where there is one.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/weights.h"

namespace hone {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
};

struct AdamWParameter {
  std::string name;
  at::Tensor value;    // fp32 master; its grad() holds the gradient
  at::Tensor shadow;   // bf16 copy or undefined
  bool decays = true;  // biases and norm weights do not
};

// Euclidean norm of all gradients together, summed in double and in a fixed order.
double gradient_norm(const std::vector<AdamWParameter>& parameters);

class AdamW {
 public:
  AdamW(std::vector<AdamWParameter> parameters, AdamWOptions options);
  // value -= lr * (m / (sqrt(v) + eps) + decay * value), with gradients multiplied by `gradient_scale` first. Parameters without gradient are left alone.
  void step(double learning_rate, double gradient_scale);
  StateDict state() const;             // "exp_avg.<name>", "exp_avg_sq.<name>", "step"
  void load_state(const StateDict& state);
  int64_t steps() const { return steps_; }

 private:
  std::vector<AdamWParameter> parameters_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  AdamWOptions options_;
  int64_t steps_ = 0;
};

}  // namespace hone
