// New data answered by a model that writes, as `hone predict` does for such a task.
#pragma once

#include <functional>

#include "run/answer.h"

namespace hone {

struct WriteOptions {
  int64_t max_tokens = 2048;                   // see GenerationRun
  std::function<bool()> is_stopped = nullptr;  // asked before each token
};

struct Written {
  Answered answered;
  bool is_interrupted = false;
  int64_t in_part = 0;  // answers that were being written then; those of later rows are not there
};

// Gives `take` a line for each row, in order, as soon as its answer and those before it are there:
// its id and texts with the result's fields over them. Where it is interrupted, the answers being
// written are given as they are. Throws after the last row that can be found, where the input
// breaks off.
Written write_rows(Pipeline& pipeline, const Reading& reading, const WriteOptions& options,
                   const std::function<void(const Json& line)>& take);

}  // namespace hone
