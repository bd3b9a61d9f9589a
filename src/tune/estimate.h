// What a run will take, told before it starts: memory, disk, time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/sample_store.h"
#include "tasks/pipeline.h"
#include "tune/gpu.h"
#include "tune/regularise/regulariser.h"
#include "tune/train_options.h"

namespace hone {

struct Estimate {
  int64_t parameters = 0;          // trained numbers
  int64_t steps = 0;               // optimizer steps
  int64_t tokens = 0;              // real tokens in all of them
  int64_t micro_batch_tokens = 0;  // of the largest micro-batch
  int64_t memory_bytes = 0;        // peak, of the process; of a GPU, there
  std::optional<Gpu> gpu;          // that the run is for
  int64_t disk_bytes = 0;          // checkpoints and model
  std::optional<double> seconds;   // of training, where a probe was made

  Json json() const;
  std::string text() const;  // a few lines for people
};

// From shapes alone. Freezes what `options` names. REQUIRES: lengths (tokens of each training
// sample) is not empty.
Estimate estimate(Pipeline& pipeline, const std::vector<int32_t>& lengths,
                  const TrainOptions& options, const std::vector<ChosenRegulariser>& regularisers);

// Seconds per training token, measured on a few steps of the run itself. Leaves the weights as they
// were.
double measure_seconds_per_token(Pipeline& pipeline, const SampleStore& samples,
                                 const TrainOptions& options,
                                 const std::vector<ChosenRegulariser>& regularisers);

}  // namespace hone
