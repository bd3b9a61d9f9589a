// Scores relations as SemEval-2010 task 8 does, with intervals, calibration and the surest
// mistakes.
#pragma once

#include <memory>

#include "tasks/relation/options.h"
#include "tasks/task.h"

namespace hone::relation {

std::unique_ptr<Scorer> make_scorer(const Options& options);

}  // namespace hone::relation
