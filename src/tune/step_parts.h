// What an optimizer step needs beside its samples: made for a run, and for the probe that measures
// one.
#pragma once

#include <memory>
#include <vector>

#include "tune/parameters.h"
#include "tune/regularise/regularisers.h"

namespace hone {

struct StepParts {
  // Freezes what `options` names. The network is on its device, in its precision. Error(kUsage) as
  // freeze, trainable_parameters and a regulariser have it.
  // `total_steps`: of the run.
  StepParts(Pipeline& pipeline, const TrainOptions& options,
            const std::vector<ChosenRegulariser>& chosen, int64_t total_steps);

  const std::vector<Parameter>& parameters() const { return optimizer->parameters(); }
  int64_t state_bytes() const { return optimizer->state_bytes() + regularisers.state_bytes(); }

  std::vector<Frozen> frozen;
  std::unique_ptr<Optimizer> optimizer;
  Regularisers regularisers;
  Pass pass;
  Pass pass_there;  // nothing in it waits for the device; null where something must
};

}  // namespace hone
