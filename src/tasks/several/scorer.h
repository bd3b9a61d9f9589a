// Scores each task by its own scorer; the mean of their main metrics is the whole's.
#pragma once

#include <memory>

#include "tasks/several/several.h"

namespace hone::several {

std::unique_ptr<Scorer> make_scorer(std::vector<TaskPart> parts);

// Of the report of all the one of a task: its metrics, under their own names.
Report metrics_of(const Report& all, const std::string& part);

}  // namespace hone::several
