#include <fmt/format.h>

#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "data/idle_options.h"
#include "run/answer.h"
#include "run/audit.h"

namespace hone {

int run_predict(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const Reading reading = reading_of(text_of(arguments, "FILE"), arguments, *pipeline);
  tell_idle("data", idle_options(reading.source, "text"));
  const Answered answered =
      answer_rows(*pipeline, reading, {.max_tokens = number_of(arguments, "--max-tokens")},
                  [](std::span<const Json> lines) {
                    for (const Json& line : lines) std::cout << to_text(line) << '\n';
                    std::cout.flush();
                  });
  if (answered.bad_rows == 0) return 0;
  const std::string message =
      fmt::format("{} of {} rows have no answer, in its place stands an \"error\"; the first: {}",
                  answered.bad_rows, answered.rows, answered.first_error->what());
  const bool may_skip = answered.worst == ErrorKind::kData;  // a bad model is no bad row
  if (reading.source.on_bad_row != "skip" || !may_skip) throw Error(answered.worst, message);
  log_warn("{}", message);
  return 0;
}

}  // namespace hone
