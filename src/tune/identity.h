// What a run was begun with, so far as its result depends on it: kept in its checkpoints, and
// compared when it is resumed, so that a changed file is told of in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/sample.h"
#include "models/weights.h"

namespace hone {

// The rows of a split as training and evaluation see them: ids and targets.
class RowFingerprint {
 public:
  void add(const Where& where, const std::vector<Sample>& samples);  // those of the next record

  Json json() const;  // {"rows", "block", "hashes"}: 16 digits for each block of so many rows
  // What differs from the rows that `saved` was made of, "" where nothing does: "row count 555 ->
  // 554", "row 17 is another (dev.jsonl:17)".
  std::string difference(const Json& saved) const;

 private:
  void join_blocks();

  int64_t rows_ = 0, block_ = 1;  // rows in a block: doubled whenever there are too many blocks
  std::vector<uint64_t> hashes_;
  std::vector<Where> starts_;  // the first row of each block
};

// What differs between two states of a task (Task::state), in words: "labels: good, bad -> bad,
// good".
std::vector<std::string> task_differences(const Json& before, const Json& now);

}  // namespace hone
