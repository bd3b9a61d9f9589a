// Optimizers whose rule is written for one tensor at a time, in whole-tensor operations: a file
// says what it keeps of a tensor and how it moves it. AdamW, which most runs use, is written by
// hand (adamw.h).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tune/entry_options.h"
#include "tune/optim/optimizer.h"

namespace hone {

// Numbers of one update.
struct RuleStep {
  double rate = 0;          // the schedule's, times the parameter's own
  double factor = 1;        // the parameter's own
  double weight_decay = 0;  // the parameter's: 0 for biases and norm weights
  int64_t step = 1;         // how many this tensor has made, with this one
  bool in_bf16 = false;     // its layer computes in bf16: so may a rule's matrix products
};

// What is kept of a tensor, by name ("momentum"); fp32, on its device.
using RuleState = std::map<std::string, at::Tensor>;

class TensorRule {
 public:
  virtual ~TensorRule() = default;
  // The state before the first step, by which `update` may tell kinds of tensors apart.
  virtual RuleState start(const Parameter& parameter) const = 0;
  // Moves `value`. `gradient` is fp32, of the mean loss, and the rule's own to write.
  virtual void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
                      const RuleStep& step) const = 0;
};

// Σ x²; on the CPU in double and in a fixed order, whatever the number of threads.
double squares_of(const at::Tensor& x);

// Applies a rule to every parameter that has a gradient.
class ByTensor : public Optimizer {
 public:
  ByTensor(std::vector<Parameter> parameters, std::unique_ptr<TensorRule> rule);
  void step(double learning_rate, double gradient_scale) override;
  StateDict state() const override;  // "momentum.<name>", …, "steps.<name>"
  void load_state(const StateDict& state) override;
  int64_t state_bytes() const override;

 private:
  struct Slot {
    RuleState state;
    int64_t steps = 0;
  };
  std::unique_ptr<TensorRule> rule_;
  std::vector<Slot> slots_;  // one per parameter
};

// OptimizerInfo::make of a rule R that is made from its Options (tune/entry_options.h).
template <typename R>
std::unique_ptr<Optimizer> make_by_tensor(std::vector<Parameter> parameters,
                                          const TrainOptions& train) {
  return std::make_unique<ByTensor>(
      std::move(parameters),
      std::make_unique<R>(entry_options<typename R::Options>(train.optim_args)));
}

}  // namespace hone
