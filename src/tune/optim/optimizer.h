// What the loop asks of an optimizer, and the table of them. An optimizer is one file and one line
// in registry.cpp; docs/extending-training.md shows one.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/table.h"
#include "models/kernels/embedding.h"
#include "models/weights.h"
#include "tune/train_options.h"

namespace hone {

// A trained tensor, with what an optimizer must know of it.
struct Parameter {
  std::string name;
  at::Tensor value;         // fp32 master; its grad() holds the gradient
  at::Tensor shadow;        // bf16 copy or undefined
  bool in_bf16 = false;     // its layer computes in bf16, with such a copy or not
  double rate = 1;          // factor of the step's learning rate
  double weight_decay = 0;  // decoupled; 0 for biases and norm weights
  c10::intrusive_ptr<kernels::TableRows> rows;  // of a table that is looked up; else null
};

// Rows of a table where its gradient may differ from zero; null: any.
const std::vector<int64_t>* touched_rows(const Parameter& parameter);

// Euclidean norm of all gradients together; on the CPU summed in double and in a fixed order.
double gradient_norm(const std::vector<Parameter>& parameters);

// A tensor of a saved state by its name, and its values put into `to`. Error(kModel) where it is
// missing or of another shape: the checkpoint is of another model.
const at::Tensor& find_state(const StateDict& state, const std::string& name);
void copy_state(const at::Tensor& to, const StateDict& state, const std::string& name);

// A step whose numbers stay on a GPU.
struct StepThere {
  double count = 1;     // targets that the gradients are sums over
  double max_norm = 0;  // of the mean gradient; 0: it is not clipped
  // Where loss, norm and scale stand (kernels/gpu/device/parameters.h: StepNumbers). Where one is
  // no number, neither this step nor a later one moves anything.
  at::Tensor numbers;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update of every parameter that has a gradient, after multiplying gradients by
  // `gradient_scale`; shadows are written too. Others are left alone.
  virtual void step(double learning_rate, double gradient_scale) = 0;
  // Whether `step_there` can be asked for: then nothing waits for the device that parameters are
  // on.
  virtual bool steps_there() const { return false; }
  // The same step, clipped by the norm of the gradients as it is found there.
  // REQUIRES: steps_there().
  virtual void step_there(double /*learning_rate*/, const StepThere& /*step*/) {}
  // Brings up to date what an optimizer may do late: called before weights are read by other means
  // than a lookup.
  virtual void flush() {}
  // What a resumed run needs to go on bit for bit. REQUIRES (of load_state): the parameters hold
  // the values that they had at state(). Error(kModel) where it is of other parameters.
  virtual StateDict state() const = 0;
  virtual void load_state(const StateDict& state) = 0;
  // Bytes of state(), at most: what memory and a checkpoint need room for.
  virtual int64_t state_bytes() const = 0;

  const std::vector<Parameter>& parameters() const { return parameters_; }

 protected:
  // REQUIRES: contiguous fp32 values.
  explicit Optimizer(std::vector<Parameter> parameters);

 private:
  std::vector<Parameter> parameters_;
};

struct OptimizerInfo {
  const char* name;  // of train.optim; transformers.TrainingArguments' name where it has one
  const char* help;  // one line
  std::unique_ptr<Optimizer> (*make)(std::vector<Parameter> parameters,
                                     const TrainOptions& options);
  // The section train.optim_args, which becomes TrainOptions::optim_args: read_options of the
  // optimizer's own Options (tune/entry_options.h); null where it has none.
  Json (*read)(Config& section) = nullptr;
  bool has_adam_options = false;    // train.adam_beta1, adam_beta2, adam_epsilon mean something
  bool has_narrow_moments = false;  // train.optim_moments may be bf16 or int8
};
Table<OptimizerInfo>& optimizers();  // registry.cpp: one line each

}  // namespace hone
