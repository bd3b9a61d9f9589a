// What a sweep gave, as a report: a table of its trials and a picture of them.
#pragma once

#include <string>
#include <vector>

#include "run/sweep.h"

namespace hone {

// Whether an evaluation is the one that trials are compared by at `rung`, or after it.
bool is_at(const TrialPoint& point, const Halving& halving, double rung);

// How many of a trial's evaluations count at a rung: those up to the one there. All without rungs.
size_t points_until(const std::vector<TrialPoint>& points, const Halving* halving, double rung);

Report sweep_report(const Sweep& sweep, const SweepState& state, const SweepResult& result);

}  // namespace hone
