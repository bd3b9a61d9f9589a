// The mean of the weights at the last few of evenly spaced places of the run is what is evaluated,
// kept as the best and saved as the model (checkpoint averaging: Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762, section 6.1); training goes on with the weights themselves.
#include <ATen/ATen.h>

#include <algorithm>
#include <deque>

#include "tune/regularise/weight_average.h"

namespace hone {
namespace {

class AverageOfCopies : public WeightAverage {
 public:
  struct Options {
    int64_t last = 5;   // of which the mean is taken
    int64_t every = 0;  // steps between two of them; 0: a fiftieth of the run's
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("last", last);
      visit("every", every);
    }
    void check(const Config& section) const {
      if (last < 2)
        throw section.error("last",
                            fmt::format("\"last\" is {}; it must be a number, 2 or more", last));
      if (every < 0)
        throw section.error("every",
                            fmt::format("\"every\" is {}; it must be a number, 0 or more", every));
    }
  };

  AverageOfCopies(const Options& options, const RegulariserContext& context)
      : WeightAverage("average", context), options_(options) {
    if (options_.every == 0) options_.every = std::max<int64_t>(1, context.total_steps / 50);
  }

  void after_step(const StepDone& step) override {
    if (step.steps % options_.every != 0) return;
    copies_.push_back(copy());
    if (static_cast<int64_t>(copies_.size()) > options_.last) copies_.pop_front();
  }

  // Before there is a copy the weights are evaluated as they are.
  void around_evaluation(bool begins) override {
    if (copies_.empty()) return;
    if (begins) take_mean();
    WeightAverage::around_evaluation(begins);
  }

  // The copies alone: their mean is taken when it is wanted.
  StateDict state() const override {
    StateDict state;
    for (size_t i = 0; i < copies_.size(); ++i) add_to(state, fmt::format("{}.", i), copies_[i]);
    return state;
  }

  void load_state(const StateDict& state) override {
    copies_.clear();
    for (size_t i = 0; i * average().size() < state.size(); ++i)
      read_from(state, fmt::format("{}.", i), copies_.emplace_back(copy()));
  }

  int64_t state_bytes() const override {
    return (options_.last + 1) * WeightAverage::state_bytes();
  }

 private:
  void take_mean() {
    for (size_t i = 0; i < average().size(); ++i) {
      const at::Tensor& mean = average()[i].copy_(copies_.front()[i]);
      for (size_t copy = 1; copy < copies_.size(); ++copy) mean.add_(copies_[copy][i]);
      mean.div_(static_cast<double>(copies_.size()));
    }
  }

  Options options_;
  std::deque<Weights> copies_;  // the oldest first
};

}  // namespace

RegulariserInfo average() {
  return {"average", "the mean of the last few copies of the weights is evaluated and saved",
          read_regulariser<AverageOfCopies>};
}

}  // namespace hone
