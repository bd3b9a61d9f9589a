// SWA, stochastic weight averaging (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407): the
// plain mean of the weights after the steps of the last part of a run is what is evaluated and
// saved. Until that part begins, the weights themselves are.
//
//   average = 1/n Σ w after the steps  ⌈start · total⌉ + 1, + every, + 2 every, …
//
// It wants a rate that stays up to the end: a constant schedule, or restarts.
#include <ATen/ATen.h>

#include <cmath>

#include "tune/regularise/weight_average.h"

namespace hone {
namespace {

constexpr const char* kModels = "(models)";  // no weight is called so

class Swa : public WeightAverage {
 public:
  struct Options {
    double start = 0.75;
    int64_t every = 1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("start", start);
      visit("every", every);
    }
    void check(const Config& section) const {
      need_share(section, "start", start);
      need_positive(section, "every", static_cast<double>(every));
    }
  };

  Swa(const Options& options, const RegulariserContext& context)
      : WeightAverage("swa", context),
        every_(options.every),
        first_(static_cast<int64_t>(
                   std::ceil(options.start * static_cast<double>(context.total_steps))) +
               1) {}

  void after_step(const StepDone& step) override {
    if (step.steps < first_ || (step.steps - first_) % every_ != 0) return;
    ++models_;
    move(1.0 / static_cast<double>(models_));
  }

  void around_evaluation(bool begins) override {
    if (models_ > 0) WeightAverage::around_evaluation(begins);
  }

  StateDict state() const override {
    StateDict state = WeightAverage::state();
    state[kModels] = at::tensor({static_cast<float>(models_)});
    return state;
  }

  void load_state(const StateDict& state) override {
    WeightAverage::load_state(state);
    models_ = static_cast<int64_t>(find_state(state, kModels).item<double>());
  }

 private:
  int64_t every_, first_, models_ = 0;
};

}  // namespace

RegulariserInfo swa() {
  return {"swa", "the mean of the last steps' weights is evaluated and saved",
          read_regulariser<Swa>};
}

}  // namespace hone
