// All regularisers of a run as one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tune/regularise/regulariser.h"

namespace hone {

class Regularisers {
 public:
  Regularisers(const std::vector<ChosenRegulariser>& chosen, const RegulariserContext& context);

  // Forward and backward of a batch, wrapped by all. Throws NotFinite where a loss is no number,
  // before its backward pass.
  Pass pass(const Task& task, Network& network, const LossOptions& options) const;
  // The same with its loss left where it is (PassResult::loss_there), whatever it is.
  // REQUIRES: is_empty().
  Pass pass_there(const Task& task, Network& network, const LossOptions& options) const;
  bool is_empty() const { return all_.empty(); }
  void before_step(double count) const;
  void after_step(const StepDone& step) const;

  // "<name>.<its own name>" of each.
  StateDict state() const;
  void load_state(const StateDict& state) const;
  int64_t state_bytes() const;
  int64_t graphs_kept() const;  // forward passes held in memory for one backward

  // While it lives, the weights to be evaluated stand in the network.
  class Evaluated {
   public:
    explicit Evaluated(const Regularisers& all) : all_(all) { all_.begin_evaluation(); }
    ~Evaluated() { all_.end_evaluation(); }
    Evaluated(const Evaluated&) = delete;
    Evaluated& operator=(const Evaluated&) = delete;

   private:
    const Regularisers& all_;
  };
  void begin_evaluation() const;  // without an end where the run ends

 private:
  void end_evaluation() const;

  struct One {
    std::string name;
    std::unique_ptr<Regulariser> regulariser;
  };
  std::vector<One> all_;  // the innermost first
};

}  // namespace hone
