// One configuration run several times: with other seeds (`seeds`), on other parts of the data
// (`folds`), or both. What they give together, and how far they lie apart.
#pragma once

#include <string>
#include <vector>

#include "run/one_run.h"

namespace hone {

struct RepeatsResult {
  std::vector<OneRun> runs;  // of config.repeats, in their order
  bool interrupted = false;
  Report report;  // of all runs that gave one
  RunSummary summary;

  const Error* failure() const;  // the first one; nullptr: none
};

// Runs what has not ended, each in a folder of its own below config.output_dir, and writes
// runs.json, runs.html and runs.txt there after each. Error(kUsage) where the folder holds such
// runs already and they are neither to be continued nor to be replaced.
RepeatsResult run_repeats(const RunConfig& config, const RunOptions& options,
                          const std::vector<Listener>& listeners = {});

// Each metric's mean over the runs that gave it, its sample standard deviation, lowest and highest;
// and a table of the runs. `runs` are those of config.repeats.
Report repeats_report(const RunConfig& config, const std::vector<OneRun>& runs);

}  // namespace hone
