#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/stop_signal.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/written_rows.h"

namespace hone {
namespace {

void print(const Json& line) { std::cout << to_text(line) << '\n'; }

// Of a task that writes: a line as soon as its answer is there.
int print_written(Pipeline& pipeline, const Reading& reading, int64_t max_tokens) {
  const std::atomic<bool>& stop = catch_stop_signals();
  const Written written = write_rows(
      pipeline, reading, {.max_tokens = max_tokens, .is_stopped = [&stop] { return stop.load(); }},
      [](const Json& line) {
        print(line);
        std::cout.flush();
      });
  const int code = tell_answered(written.answered, reading);
  if (!written.is_interrupted) return code;
  log_warn("interrupted: {} rows are answered, {} of them in part; later ones are not there",
           written.answered.rows, written.in_part);
  return stop_exit_code();
}

// Of several adapters, whatever their tasks.
int print_by_adapter(const Pipeline& first, const CLI::App& arguments, const Reading& reading) {
  const AdapterModels models(first, named_adapters(arguments));
  const Answered answered =
      answer_rows(models, reading, {.max_tokens = number_of(arguments, "--max-tokens")},
                  [](std::span<const Json> lines) {
                    for (const Json& line : lines) print(line);
                    std::cout.flush();
                  });
  return tell_answered(answered, reading);
}

}  // namespace

int run_predict(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const Reading reading = reading_of(text_of(arguments, "FILE"), arguments, *pipeline);
  tell_idle("data", idle_options(reading.source, "text"));
  const int64_t max_tokens = max_tokens_of(arguments, *pipeline);
  if (flag_of(arguments, "--adapter")) return print_by_adapter(*pipeline, arguments, reading);
  if (pipeline->task().generation() != nullptr)
    return print_written(*pipeline, reading, max_tokens);
  const Answered answered =
      answer_rows(*pipeline, reading, {.max_tokens = max_tokens}, [](std::span<const Json> lines) {
        for (const Json& line : lines) print(line);
        std::cout.flush();
      });
  return tell_answered(answered, reading);
}

}  // namespace hone
