// Records to samples, on all threads, in order.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cli/engine/dataset.h"
#include "tasks/task.h"

namespace hone {

struct Encoded {
  Record record;
  std::vector<Sample> samples;
  bool truncated = false;  // tokens were lost
};

// Encodes a split with targets and gives each record's samples to `take` in the order of the data;
// lengths and truncated records are counted in the split's audit. Rows that cannot be encoded are
// errors, or dropped where their source says so.
void encode_split(Dataset& dataset, const std::string& split, const Task& task,
                  const Tokenizer& tokenizer, const std::function<void(Encoded&)>& take);

}  // namespace hone
