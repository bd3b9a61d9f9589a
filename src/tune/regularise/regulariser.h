// What is done to a run beyond minimising its task's loss: to the loss of a batch, to the passes
// over it, after a step, around an evaluation. A run has any number of regularisers (the section
// `regularise` of its configuration). Each is one file and one line in registry.cpp;
// docs/extending-training.md shows one.
//
// They compose in the order of the table, whatever the order in the configuration: each wraps those
// before it. All losses are inside of all passes: FGM's second pass over a batch runs R-Drop's two
// forward passes again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/table.h"
#include "tasks/pipeline.h"
#include "tune/entry_options.h"
#include "tune/events.h"
#include "tune/optim/optimizer.h"

namespace hone {

// What a forward pass gives.
struct Outcome {
  Loss loss;        // what is minimised
  Outputs outputs;  // the network's, where a regulariser reads outputs; else none
  Numbers numbers;  // to be shown beside the loss; sums over its targets too
};
// What forward and backward give: gradients have been added to the weights' own.
struct PassResult {
  double loss = 0, count = 0;  // a sum over targets, and their number
  Numbers numbers;
  at::Tensor
      loss_there;  // the loss on its device, in place of `loss`, of a pass that does not wait
};
using LossOf = std::function<Outcome(const Batch&)>;
using Pass = std::function<PassResult(const Batch&)>;

// Thrown by losses and passes: the loop finds the rows that did it, and ends the run in words.
struct NotFinite {
  std::string what = "loss";  // "the loss of step 4 is not finite …"
  bool is_gradient = false;   // which shows in the backward pass alone
};

// An optimizer step that was made.
struct StepDone {
  int64_t steps = 0;          // made so far, this one too
  double gradient_scale = 1;  // what the optimizer multiplied the gradients by
};

class Regulariser {
 public:
  virtual ~Regulariser() = default;

  // The gradient of a batch must be the sum of its samples' own, so that a step's gradient does not
  // depend on how it is split.
  virtual LossOf around_loss(LossOf inner) { return inner; }
  virtual Pass around_pass(Pass inner) { return inner; }
  virtual bool reads_output() const { return false; }
  virtual int64_t graphs_kept() const { return 1; }  // forward passes held for one backward

  // The gradients of a step are whole, sums over `count` targets, which they are divided by later:
  // what is added for the step as a whole is times `count`. Once a step, before its norm is taken.
  virtual void before_step(double /*count*/) {}
  // The gradients of the step are there still, before they were multiplied by its scale.
  virtual void after_step(const StepDone& /*step*/) {}
  // Weights that are evaluated, kept as the best and as the run's model may be others than those
  // that are trained: true: put them in place; false: the trained ones again, bit for bit.
  virtual void around_evaluation(bool /*begins*/) {}

  // What a resumed run needs to go on bit for bit, beside weights and step. Error(kModel) for a
  // state that is not this one's.
  virtual StateDict state() const { return {}; }
  virtual void load_state(const StateDict& /*state*/) {}
  virtual int64_t state_bytes() const { return 0; }
};

struct RegulariserContext {
  Pipeline& pipeline;
  Optimizer& optimizer;
  int64_t total_steps = 0;  // of the run
  uint64_t seed = 0;        // of the run
  LossOptions loss = {};    // of training
};

// One that a configuration asks for, its options read.
struct ChosenRegulariser {
  std::string name;
  Json options;
  // Error(kUsage) where the task or model cannot be trained with it.
  std::function<std::unique_ptr<Regulariser>(const RegulariserContext&)> make;
  bool pairs = false;     // wants the samples of a step in pairs
  bool averages = false;  // weights of several steps are evaluated as one
};

struct RegulariserInfo {
  const char* name;  // its section
  const char* help;  // one line
  ChosenRegulariser (*read)(Config& section);
  bool pairs = false;  // ChosenRegulariser::pairs
};
Table<RegulariserInfo>& regularisers();  // registry.cpp: one line each

// The section `regularise`. Error(kUsage) at its place for what is none of them.
std::vector<ChosenRegulariser> read_regularisers(Config& section);

bool want_pairs(const std::vector<ChosenRegulariser>& chosen);  // any of them

// RegulariserInfo::read of a class R that is made from (Options, RegulariserContext); R::Options is
// as tune/entry_options.h has it.
template <typename R>
ChosenRegulariser read_regulariser(Config& section) {
  const Json json = read_options<typename R::Options>(section);
  return {"", json, [json](const RegulariserContext& context) {
            return std::make_unique<R>(entry_options<typename R::Options>(json), context);
          }};  // the rest: of the table's line
}

}  // namespace hone
