// A learning rate for a run, from a short run of its own data, model and options.
#pragma once

#include <atomic>

#include "run/run_config.h"
#include "tasks/report.h"
#include "tune/find_rate.h"

namespace hone {

// Reads and encodes the data as the run would; writes nothing. The run itself, not its stages.
FoundRate find_lr(const RunConfig& config, const FindRateOptions& search,
                  const std::atomic<bool>* stop_requested = nullptr);

// What was found, with a chart of the loss by the logarithm of the rate.
Report find_lr_report(const RunConfig& config, const FoundRate& found);

}  // namespace hone
