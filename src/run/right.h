// Whether an answer is right, as its task judges.
#pragma once

#include <optional>

#include "tasks/task.h"

namespace hone {

// Right is an answer in which the task's report on this row alone names no mistake (another label,
// a missing entity, no exact match). Nothing for a task whose answers are more or less right:
// numbers, vectors, texts that are written.
std::optional<bool> is_right(const Task& task, const Record& gold, const Json& result);

}  // namespace hone
