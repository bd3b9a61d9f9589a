// New data answered row by row, as `hone predict` does.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "run/input_rows.h"
#include "run/reading.h"
#include "tasks/pipeline.h"

namespace hone {

// How many rows have no answer, and why; how many were too long for the model and lost tokens.
struct Answered {
  int64_t rows = 0, bad_rows = 0, truncated = 0;
  std::optional<Error> first_error;
  ErrorKind worst = ErrorKind::kData;
  Where first_truncated = {};

  void add_truncated(const Record& record);
};

// What is written for a row: its id and texts with the answer's fields over them, or {"error": …}
// in the answer's place. Counts it.
Json line_of(const InputRow& row, const Json& answer, const std::vector<std::string>& text_fields,
             Answered& counts);

// Gives `take` a line for each row, in order, as soon as some hundred are answered: its id and
// texts with the result's fields over them. Throws after the
// last row that can be found, where the input breaks off.
Answered answer_rows(const Pipeline& pipeline, const Reading& reading,
                     const PredictOptions& options,
                     const std::function<void(std::span<const Json> lines)>& take);

}  // namespace hone
