// EMA: an exponential moving average of the weights (Polyak and Juditsky 1992) is what is
// evaluated, kept as the best and saved as the model; training goes on with the weights themselves.
//
//   average += (1 - d) · (weight - average) after each step, d = min(decay, (1 + step) / (10 +
//   step))
//
// The second bound, without which the average of a short run is mostly its start, is that of
// tf.train.ExponentialMovingAverage with num_updates; `warmup: false` leaves it out.
#include <algorithm>

#include "tune/regularise/weight_average.h"

namespace hone {
namespace {

class Ema : public WeightAverage {
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
      : WeightAverage("ema", context), options_(options) {}

  void after_step(const StepDone& step) override {
    const auto n = static_cast<double>(step.steps);
    const double decay =
        options_.warmup ? std::min(options_.decay, (1 + n) / (10 + n)) : options_.decay;
    move(1 - decay);
  }

 private:
  Options options_;
};

}  // namespace

RegulariserInfo ema() {
  return {"ema", "a moving average of the weights is evaluated and saved", read_regulariser<Ema>};
}

}  // namespace hone
