// Which learning rate a run should take: a short run whose rate rises from step to step shows where
// the loss falls fastest, and where it no longer does (Smith 2017,
// https://arxiv.org/abs/1506.01186).
#pragma once

#include <atomic>
#include <vector>

#include "data/sample_store.h"
#include "tune/regularise/regulariser.h"
#include "tune/train_options.h"

namespace hone {

struct FindRateOptions {
  double lowest = 1e-7, highest = 1;  // the rate of the first and of the last step, even factors
  int64_t steps = 100;
};

struct RateTrial {
  double rate = 0;
  double loss = 0;      // before the step of this rate
  double smoothed = 0;  // over about ten steps
};

struct FoundRate {
  std::vector<RateTrial> trials;
  bool diverged = false;  // it ended before `highest`: the loss rose to four times its lowest, or
                          // was no number
  // Where the smoothed loss falls fastest by the logarithm of the rate; 0: it fell nowhere.
  double steepest = 0;
  double lowest_loss = 0;  // the rate at which the smoothed loss was lowest: too high by a lot

  // The rate to begin with: the lower of `steepest` and a tenth of `lowest_loss`. Of few steps the
  // steepest place may be the last noise before the lowest one.
  double advised() const;
};

// Trains the pipeline's network, which is of no use afterwards. `options` but for the rate, its
// schedule and the number of steps. Ends early where `stop_requested` is set.
FoundRate find_rate(Pipeline& pipeline, const SampleStore& samples, const TrainOptions& options,
                    const std::vector<ChosenRegulariser>& regularisers,
                    const FindRateOptions& search,
                    const std::atomic<bool>* stop_requested = nullptr);

// What trials say, in the order of their rates; find_rate's last step.
FoundRate judge_rates(std::vector<RateTrial> trials);

}  // namespace hone
