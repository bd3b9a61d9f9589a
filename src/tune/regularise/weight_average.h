// An average of the weights that is evaluated, kept as the best and saved in their place; training
// goes on with the weights themselves.
#pragma once

#include <string>
#include <vector>

#include "tune/regularise/regulariser.h"

namespace hone {

class WeightAverage : public Regulariser {
 public:
  void around_evaluation(bool begins) override;
  StateDict state() const override;
  void load_state(const StateDict& state) override;
  int64_t state_bytes() const override;

 protected:
  using Weights = std::vector<at::Tensor>;  // by parameter

  // `name`: the regulariser's, for messages. The average begins with the weights as they are.
  WeightAverage(const char* name, const RegulariserContext& context);
  void move(double share);  // average += share · (weight - average)
  Weights copy() const;     // of the trained weights, as they are now
  Weights& average() { return averages_; }

  // Of a state: the parameters' names, each behind `prefix`. Error(kModel) for one that is missing
  // or of another shape.
  void add_to(StateDict& state, const std::string& prefix, const Weights& weights) const;
  void read_from(const StateDict& state, const std::string& prefix, Weights& weights) const;

 private:
  at::Tensor value(size_t i) const { return optimizer_.parameters()[i].value.detach(); }
  const std::string& weight_name(size_t i) const { return optimizer_.parameters()[i].name; }

  const char* name_;
  Network& network_;
  Optimizer& optimizer_;
  Weights averages_;  // while an evaluation lasts, the trained weights
};

}  // namespace hone
