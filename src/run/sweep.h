// Many runs of one configuration with other values, of which the validation data choose the best.
// What fails does not end the rest; the same call goes on after a kill.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "run/one_run.h"
#include "run/sweep_space.h"
#include "run/sweep_state.h"

namespace hone {

// What became of a trial.
struct TrialOutcome {
  bool ended = false;  // trained to its end
  double out_at = 0;   // where it was left behind by better ones; 0: nowhere
  std::optional<Error> failure;
  Json report;  // of one that ended
};

struct SweepResult {
  std::vector<TrialOutcome> trials;  // in the order of the sweep
  std::optional<size_t> best;        // of those that have a score
  bool interrupted = false;
  Report report;
  RunSummary summary;

  const Error* failure() const;  // the first one where no trial ended; nullptr: some did
};

// Runs what has not been run. In sweep.output_dir: a run's folder for each trial, sweep.state,
// sweep.json, sweep.html, sweep.txt, and best.yaml, the best trial's configuration. A trial that is
// out or has ended loses its checkpoints, and at the end all models but the best one's go.
SweepResult run_sweep(const Sweep& sweep, const RunOptions& options,
                      const std::vector<Listener>& listeners = {});

}  // namespace hone
