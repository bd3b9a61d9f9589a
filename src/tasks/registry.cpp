// The tasks: one line each. A test checks that every folder of src/tasks with a task in it has its
// line.
#include <fmt/format.h>

#include <algorithm>

#include "tasks/classify/classify.h"
#include "tasks/ner/ner.h"
#include "tasks/task.h"

namespace hone {

const std::vector<TaskInfo>& tasks() {
  static const std::vector<TaskInfo> all = {
      classify::kInfo,
      ner::kInfo,
  };
  return all;
}

const TaskInfo& task_named(const std::string& name) {
  const auto found = std::find_if(tasks().begin(), tasks().end(),
                                  [&](const TaskInfo& info) { return name == info.name; });
  if (found != tasks().end()) return *found;
  std::vector<std::string> names;
  for (const TaskInfo& info : tasks()) names.emplace_back(info.name);
  throw Error(ErrorKind::kUsage, fmt::format("unknown task \"{}\"{}; known: {}.", name,
                                             did_you_mean(name, names), fmt::join(names, ", ")));
}

}  // namespace hone
