#include <filesystem>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/print_report.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "run/tested.h"

namespace hone {

int run_eval(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const std::string model = text_of(arguments, "MODEL"), data = text_of(arguments, "DATA"),
                    folder = text_of(arguments, "--report");
  const Reading reading = reading_of(data, arguments, *pipeline);
  tell_idle("data", idle_options(reading.source));
  if (!folder.empty()) {
    refuse_report_over(folder, {model, data});
    std::filesystem::create_directories(folder);
    remove_leftovers(folder);
  }
  Tested tested = test_on(*pipeline, reading, max_tokens_of(arguments, *pipeline), folder);
  tested.summary.title = run_name(model);
  tested.summary.model = model;
  tested.summary.command = command_line(arguments);
  print_report(tested.report, tested.summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  if (!folder.empty()) write_reports(folder, tested.report, tested.summary);
  return 0;
}

}  // namespace hone
