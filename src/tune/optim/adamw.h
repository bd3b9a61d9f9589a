// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), the values of torch.optim.AdamW,
// updated in one pass over memory: fp32 masters, moments, gradient scale and clipping factor folded
// in; the bf16 shadow is written in the same pass where there is one.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "models/weights.h"

namespace hone {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
  // Rows of an embedding table wait with the steps in which they have no gradient until they are
  // looked up again; the values are those of the dense rule but for rounding. Whoever reads a table
  // by other means than kernels::embedding calls flush() first.
  bool lazy_rows = false;
};

struct AdamWParameter {
  std::string name;
  at::Tensor value;    // fp32 master; its grad() holds the gradient
  at::Tensor shadow;   // bf16 copy or undefined
  bool decays = true;  // biases and norm weights do not
};

// Euclidean norm of all gradients together; on the CPU summed in double and in a fixed order.
double gradient_norm(const std::vector<AdamWParameter>& parameters);

class AdamW {
 public:
  AdamW(std::vector<AdamWParameter> parameters, AdamWOptions options);
  ~AdamW();  // flushes
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;

  // value -= lr * (m / (sqrt(v) + eps) + decay * value), with gradients multiplied by
  // `gradient_scale` first. Parameters without gradient are left alone.
  void step(double learning_rate, double gradient_scale);
  void flush();  // brings every row of every table up to date
  // "exp_avg.<name>", "exp_avg_sq.<name>", "step"; of a table whose rows wait, also "rows.seen.",
  // "rows.moving." and "rows.steps.<name>": they wait on after load_state, so that a resumed run
  // rounds as the uninterrupted one does. REQUIRES (of load_state): the parameters hold the values
  // that they had at state().
  StateDict state() const;
  void load_state(const StateDict& state);
  int64_t steps() const { return steps_; }

 private:
  struct Slot;
  void watch_rows(Slot& slot);
  void update_table(Slot& slot, const struct AdamWStep& step, const std::vector<int64_t>& rows);
  void update_dense(const std::vector<std::pair<Slot*, struct AdamWStep>>& work);

  std::vector<Slot> slots_;
  AdamWOptions options_;
  int64_t steps_ = 0;
};

}  // namespace hone
