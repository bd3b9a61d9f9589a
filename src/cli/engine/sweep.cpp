#include "run/sweep.h"

#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "tune/console.h"

namespace hone {

int run_sweep(const CLI::App& arguments) {
  Sweep sweep = read_sweep(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  sweep.overwrite |= flag_of(arguments, "--overwrite");
  const SweepResult result = run_sweep(
      sweep, {.command = command_line(arguments), .stop_requested = &catch_stop_signals()},
      {console_log()});
  const bool as_json = flag_of(arguments, "--json");
  print_report(result.report, result.summary, as_json, "in sweep.json");
  if (!as_json && result.best)
    std::cout << "\nbest    " << sweep.output_dir << "/best.yaml\nreport  " << sweep.output_dir
              << "/sweep.html\n";
  if (result.interrupted) {
    log_info("interrupted, everything is saved; the same command goes on");
    return stop_exit_code();
  }
  return result.failure() == nullptr ? 0 : static_cast<int>(result.failure()->kind());
}

}  // namespace hone
