// A split's records to samples, in order.
#pragma once

#include <functional>
#include <vector>

#include "run/dataset.h"
#include "tasks/task.h"

namespace hone {

// Encodes a split with targets and gives each record and its samples to `take` in the order of the
// data; what encoding shows is counted in the split's audit. Rows that cannot be encoded are
// errors, or dropped where their source says so.
void encode_split(Dataset& dataset, const std::string& split, const Task& task,
                  const Tokenizer& tokenizer,
                  const std::function<void(const Record&, std::vector<Sample>&)>& take);

}  // namespace hone
