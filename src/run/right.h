// Whether an answer is right, as its task judges.
#pragma once

#include <optional>
#include <string>

#include "tasks/task.h"

namespace hone {

// Right is an answer in which the task's report on this row alone names no mistake (another label,
// a missing entity, no exact match). Nothing for a task whose answers are more or less right:
// numbers, vectors, texts that are written.
std::optional<bool> is_right(const Task& task, const Record& gold, const Json& result);

// The fields of a result that its task is judged by, and how they are shown: one by its value
// alone.
Json answer_of(const Task& task, const Json& result);
std::string shown_answer(const Json& answer);

}  // namespace hone
