// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), the values of torch.optim.AdamW,
// updated in one pass over memory: fp32 masters, moments, gradient scale and clipping factor folded
// in; the bf16 shadow is written in the same pass where there is one.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "models/kernels/gpu/device/parameters.h"
#include "models/kernels/gpu/launcher.h"
#include "tune/optim/moments.h"
#include "tune/optim/optimizer.h"

namespace hone {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  // Rows of an embedding table wait with the steps in which they have no gradient until they are
  // looked up again; the values are those of the dense rule but for rounding. Whoever reads a table
  // by other means than kernels::embedding calls flush() first.
  bool lazy_rows = false;
  MomentType moments = MomentType::kFp32;  // others on the CPU alone, and no row waits then
};

class AdamW : public Optimizer {
 public:
  // Error(kUsage) for narrow moments of a parameter on a GPU.
  AdamW(std::vector<Parameter> parameters, AdamWOptions options);
  ~AdamW() override;  // flushes

  // value -= lr * (m / (sqrt(v) + eps) + decay * value). A parameter's bias correction counts the
  // steps in which it had a gradient, as torch.optim.AdamW does.
  void step(double learning_rate, double gradient_scale) override;
  void flush() override;  // brings every row of every table up to date
  // "exp_avg.<name>", "exp_avg_sq.<name>" (narrow ones: see moments.h), "step"; of a parameter that
  // had a gradient in fewer steps, "steps.<name>"; of a table whose rows wait, also "rows.seen.",
  // "rows.moving." and "rows.steps.<name>": they wait on after load_state, so that a resumed run
  // rounds as the uninterrupted one does.
  StateDict state() const override;
  void load_state(const StateDict& state) override;
  int64_t state_bytes() const override;
  bool steps_there() const override;
  void step_there(double learning_rate, const StepThere& step) override;
  int64_t steps() const { return steps_; }

 private:
  struct Slot;
  // Of a parameter's own step number `step`, from 1.
  struct AdamWStep numbers_of_step(int64_t step, double learning_rate, double gradient_scale) const;
  void watch_rows(Slot& slot);
  void update_table(Slot& slot, const struct AdamWStep& step, const std::vector<int64_t>& rows);
  bool has_narrow_moments() const { return options_.moments != MomentType::kFp32; }
  void make_moments(Slot& slot, bool has_few_rows) const;
  void update_dense(const std::vector<std::pair<Slot*, struct AdamWStep>>& work);
  void update_fused(const std::vector<Slot*>& work, double learning_rate, double gradient_scale);
  const kernels::gpu::Launcher* launcher() const;
  std::vector<Slot*> moving_slots();
  void take_there(const std::vector<Slot*>& work, double learning_rate);
  kernels::gpu::device::AdamWNumbers numbers_there() const;

  std::vector<Slot> slots_;
  AdamWOptions options_;
  int64_t steps_ = 0;
  std::unique_ptr<class GpuAdamW> there_;  // from the first step on a GPU on
};

}  // namespace hone
