#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "data/idle_options.h"
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
  return tell_answered(answered, reading);
}

}  // namespace hone
