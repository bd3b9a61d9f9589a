#include <fmt/format.h>

#include <iostream>

#include "base/console.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "run/fine_tune.h"
#include "run/run_folder.h"
#include "tune/console.h"

namespace hone {

int run_train(const CLI::App& arguments) {
  RunConfig config = RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  config.overwrite |= flag_of(arguments, "--overwrite");
  const RunResult result = fine_tune(config,
                                     {.resume = flag_of(arguments, "--resume"),
                                      .command = command_line(arguments),
                                      .stop_requested = &catch_stop_signals()},
                                     {console_log()});
  if (result.training.interrupted) {
    log_info("interrupted after step {}, everything is saved; to go on: hone train {} --resume",
             result.training.steps, console::shell_quoted(RunFolder::config_in(config.output_dir)));
    return stop_exit_code();
  }
  if (!result.test) return 0;
  const bool as_json = flag_of(arguments, "--json");
  print_report(result.test->report, result.test->summary, as_json, "in report.json");
  if (!as_json)
    std::cout << "\nmodel   " << result.model << "\nreport  " << config.output_dir
              << "/report.html\n";
  return 0;
}

}  // namespace hone
