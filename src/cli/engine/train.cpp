#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "base/console.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "run/fine_tune.h"
#include "run/repeats.h"
#include "run/run_folder.h"
#include "tune/console.h"

namespace hone {

namespace {

// Several runs of one configuration.
int train_repeats(const RunConfig& config, const RunOptions& options, bool as_json) {
  const RepeatsResult result = run_repeats(config, options, {console_log()});
  print_report(result.report, result.summary, as_json, "in runs.json");
  if (!as_json) std::cout << "\nreport  " << config.output_dir << "/runs.html\n";
  if (result.interrupted) {
    log_info("interrupted, everything is saved; the same command goes on with --resume");
    return stop_exit_code();
  }
  return result.failure() == nullptr ? 0 : static_cast<int>(result.failure()->kind());
}

void tell_interrupted(const std::string& folder, int64_t steps) {
  const std::string config = RunFolder::config_in(folder);
  if (steps == 0 && !std::filesystem::exists(config))
    return log_info(
        "interrupted before training, the translations are kept; the same command goes on");
  log_info("interrupted after step {}, everything is saved; to go on: hone train {} --resume",
           steps, console::shell_quoted(config));
}

}  // namespace

int run_train(const CLI::App& arguments) {
  RunConfig config = RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  config.overwrite |= flag_of(arguments, "--overwrite");
  const RunOptions options = {.resume = flag_of(arguments, "--resume"),
                              .command = command_line(arguments),
                              .stop_requested = &catch_stop_signals()};
  const bool as_json = flag_of(arguments, "--json");
  if (!config.repeats.empty()) return train_repeats(config, options, as_json);
  const RunResult result = fine_tune(config, options, {console_log()});
  if (result.training.interrupted) {
    tell_interrupted(config.output_dir, result.training.steps);
    return stop_exit_code();
  }
  if (!result.test) return 0;
  print_report(result.test->report, result.test->summary, as_json, "in report.json");
  if (!as_json)
    std::cout << "\nmodel   " << result.model << "\nreport  " << config.output_dir
              << "/report.html\n";
  return 0;
}

}  // namespace hone
