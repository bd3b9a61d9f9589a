#include "run/suite.h"

#include <filesystem>
#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/stop_signal.h"
#include "run/suite_table.h"
#include "tune/console.h"

namespace hone {

int run_suite(const CLI::App& arguments) {
  SuiteOptions options{.list = text_of(arguments, "LIST"),
                       .model = text_of(arguments, "--model"),
                       .data = text_of(arguments, "--data"),
                       .out = text_of(arguments, "--out"),
                       .seeds = number_of(arguments, "--seeds"),
                       .overrides = list_of(arguments, "KEY=VALUE"),
                       .command = command_line(arguments),
                       .stop_requested = &catch_stop_signals()};
  if (options.out.empty())
    options.out = "runs/" + std::filesystem::path(options.list).stem().string();
  const SuiteResult result = run_suite(read_suite(options), options, {console_log()});
  if (flag_of(arguments, "--json"))
    std::cout << to_text(suite_json(options, result)) << '\n';
  else
    std::cout << suite_text(result) << "\ntable   " << options.out << "/suite.html\n";
  if (result.interrupted) {
    log_info("interrupted, everything is saved; the same command goes on");
    return stop_exit_code();
  }
  return result.failure() == nullptr ? 0 : static_cast<int>(result.failure()->kind());
}

}  // namespace hone
