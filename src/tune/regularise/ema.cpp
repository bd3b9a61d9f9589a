// EMA: an exponential moving average of the weights (Polyak and Juditsky 1992) is what is
// evaluated, kept as the best and saved as the model; training goes on with the weights themselves.
//
//   average += (1 - d) · (weight - average) after each step, d = min(decay, (1 + step) / (10 +
//   step))
//
// The second bound, without which the average of a short run is mostly its start, is that of
// tf.train.ExponentialMovingAverage with num_updates; `warmup: false` leaves it out.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class Ema : public Regulariser {
 public:
  struct Options {
    double decay = 0.999;
    bool warmup = true;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("decay", decay);
      visit("warmup", warmup);
    }
    void check(const Config& section) const {
      if (!(decay > 0 && decay < 1))
        throw section.error(
            "decay", fmt::format("\"decay\" is {}; it must be more than 0 and less than 1", decay));
    }
  };

  Ema(const Options& options, const RegulariserContext& context)
      : options_(options), network_(context.pipeline.network()), optimizer_(context.optimizer) {
    for (const Parameter& parameter : optimizer_.parameters())
      averages_.push_back(parameter.value.detach().clone());
  }

  void after_step(const StepDone& step) override {
    const auto n = static_cast<double>(step.steps);
    const double decay =
        options_.warmup ? std::min(options_.decay, (1 + n) / (10 + n)) : options_.decay;
    optimizer_.flush();
    const c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < averages_.size(); ++i) averages_[i].lerp_(value(i), 1 - decay);
  }

  void around_evaluation(bool /*begins*/) override {
    optimizer_.flush();
    const c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < averages_.size(); ++i) {
      const at::Tensor trained = value(i).clone();
      value(i).copy_(averages_[i]);
      averages_[i].copy_(trained);
    }
    network_.refresh_shadows();
  }

  StateDict state() const override {
    StateDict state;
    for (size_t i = 0; i < averages_.size(); ++i) state[name(i)] = averages_[i];
    return state;
  }

  void load_state(const StateDict& state) override {
    for (size_t i = 0; i < averages_.size(); ++i) {
      const auto found = state.find(name(i));
      if (found == state.end() || found->second.sizes() != averages_[i].sizes())
        throw Error(ErrorKind::kModel, fmt::format("regularise.ema: the average of \"{}\" is "
                                                   "missing or of another shape",
                                                   name(i)));
      averages_[i].copy_(found->second);
    }
  }

  int64_t state_bytes() const override {
    int64_t bytes = 0;
    for (const at::Tensor& average : averages_) bytes += static_cast<int64_t>(average.nbytes());
    return bytes;
  }

 private:
  at::Tensor value(size_t i) const { return optimizer_.parameters()[i].value.detach(); }
  const std::string& name(size_t i) const { return optimizer_.parameters()[i].name; }

  Options options_;
  Network& network_;
  Optimizer& optimizer_;
  std::vector<at::Tensor> averages_;  // while an evaluation lasts, the trained weights
};

}  // namespace

RegulariserInfo ema() {
  return {"ema", "a moving average of the weights is evaluated and saved", read_regulariser<Ema>};
}

}  // namespace hone
