// Records to samples, on all threads.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "tasks/task.h"

namespace hone {

// What a task made of one record.
struct Encoded {
  std::vector<Sample> samples;
  bool truncated = false;        // tokens were lost
  std::optional<Error> failure;  // kData: the record cannot be encoded, and has no samples
};

// In the order of the records: one that fails does not fail its neighbours.
std::vector<Encoded> encode_records(std::span<const Record> records, const Task& task,
                                    const Tokenizer& tokenizer, bool with_targets);

}  // namespace hone
