// Several models of one task as one: each answers, and their probabilities are averaged.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace hone {

// Its folder: ensemble.json, {"format": 1, "members": ["member-1", …]}, and a saved model in each
// folder that it names.
bool is_ensemble_folder(const std::string& folder);
std::vector<std::string> read_ensemble(const std::string& folder);  // paths; Error(kModel)
void write_ensemble(const std::string& folder, const std::vector<std::string>& members);

// Error(kUsage) unless the model in `other` is of the same task with the same options (`options`
// stand in for saved ones) and labels in their order, and reads texts with the same tokenizer: the
// folders of both are named.
void require_one_task(const std::string& first, const std::string& other,
                      const std::vector<std::string>& options);

void require_average(const Task& task);  // Error(kUsage) where the task has none

// A network that answers with the average of all. It is for answers: nothing trains or saves it.
std::shared_ptr<Network> averaged(const std::vector<std::shared_ptr<Network>>& networks,
                                  const Task& task);

}  // namespace hone
