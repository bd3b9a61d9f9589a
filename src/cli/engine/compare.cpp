#include "run/compare.h"

#include <filesystem>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "run/reports.h"
#include "run/run_folder.h"

namespace hone {

int run_compare(const CLI::App& arguments) {
  const std::string run = text_of(arguments, "RUN"), other = text_of(arguments, "OTHER"),
                    folder = text_of(arguments, "--report");
  if (!folder.empty()) {
    refuse_report_over(folder, {run, other});
    std::filesystem::create_directories(folder);
    remove_leftovers(folder);
  }
  const Report report = compare_runs(run, other);
  RunSummary summary;
  summary.title = run_name(run) + " and " + run_name(other);
  summary.model = run;
  summary.command = command_line(arguments);
  print_report(report, summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  if (!folder.empty()) write_reports(folder, report, summary);
  return 0;
}

}  // namespace hone
