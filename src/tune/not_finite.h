// When a loss or a gradient is no number: which rows did it. When a weight is none.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/sample_store.h"
#include "tune/regularise/regulariser.h"

namespace hone {

struct Suspects {
  int64_t steps_done = 0;  // before the step that failed
  uint64_t seed = 0;
  std::vector<int64_t> indices;  // samples of the micro-batch, or of the step
  NotFinite failure;
};

// Runs each sample alone through `pass`, as the failed step would, and throws an Error(kData) at
// the first row whose own loss (or gradient) is not finite, naming the others too; or, where all or
// none are, saying what that means. Clears the gradients.
[[noreturn]] void refuse_not_finite(const Pass& pass, const Network& network,
                                    const std::vector<Parameter>& parameters,
                                    const SampleStore& samples,
                                    const std::function<Where(int64_t record)>& where_of,
                                    const Suspects& suspects);

// Error(kData) with the step and a weight's name where a weight is no number or infinite: such a
// model is neither evaluated nor saved.
void refuse_diverged(const std::vector<Parameter>& parameters, int64_t steps_done);

}  // namespace hone
