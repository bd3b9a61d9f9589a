#include "run/check.h"

#include "tune/machine.h"

namespace hone {
namespace {

// Runs a few steps of the run itself for its speed; the weights stay as they were and nothing is
// saved.
Estimate estimate_run(const RunConfig& config, const Prepared& prepared,
                      const SampleStore& samples) {
  const auto pipeline = begin_pipeline(config, prepared);
  Estimate cost = estimate(*pipeline, samples.lengths(), config.train, config.regularisers);
  cost.seconds = measure_seconds_per_token(*pipeline, samples, config.train, config.regularisers) *
                 static_cast<double>(cost.tokens);
  return cost;
}

}  // namespace

Checked check(const RunConfig& config, bool with_baseline) {
  use_threads(config.train.threads);
  Checked checked{prepare(config), {}, {}};
  const RunData data = encode_data(config, checked.prepared);
  if (with_baseline) checked.baseline = linear_baseline(config, checked.prepared, data);
  checked.cost = estimate_run(config, checked.prepared, data.train);
  return checked;
}

}  // namespace hone
