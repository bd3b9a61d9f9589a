#include "tasks/task.h"

#include <fmt/format.h>

namespace hone {

const std::vector<TaskPart>& Task::parts() const {
  static const std::vector<TaskPart> none;
  return none;
}

double Task::targets_in(const Batch& /*batch*/) const {
  throw Error(ErrorKind::kInternal,
              fmt::format("task {} does not say how many targets a batch has", info().name));
}

// What saving a model of this task would write says for whom a head was trained.
bool Task::can_continue(const ModelConfig& checkpoint) const {
  const Json& before = checkpoint.raw;
  Json after = before;
  write_model_config(checkpoint, after);
  const auto agrees = [&](const char* key) {
    return before.value(key, Json()) == after.value(key, Json());
  };
  return before.contains("id2label") && agrees("architectures") && agrees("id2label") &&
         (before.value("problem_type", Json()).is_null() || agrees("problem_type"));
}

}  // namespace hone
