// Runs before a run: further pre-training, another labelled task, each on the model of the one
// before.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/fine_tune.h"

namespace hone {

// What a run gave, as its report has it: task, metric, score, n, split, timing. Of one without a
// report `task` alone.
struct StageOutcome {
  std::string name;
  Json report;
};

using RunOne = std::function<RunResult(const RunConfig&, const RunOptions&)>;

// Runs the stages of `config` that have not ended yet by `run_one`; `outcomes` gets what each gave.
// The result of the one that was interrupted; nothing where all have ended. Error(kUsage) where the
// folder holds stages and is neither to be continued nor replaced, or a stage of another
// configuration.
std::optional<RunResult> run_stages(const RunConfig& config, const RunOptions& options,
                                    const RunOne& run_one, std::vector<StageOutcome>& outcomes);

// A table of the stages and the run itself.
Section stages_section(const std::vector<StageOutcome>& outcomes);

}  // namespace hone
