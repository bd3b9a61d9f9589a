#include "run/find_lr.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "run/reports.h"
#include "run/run_folder.h"

namespace hone {
namespace {

double rate_in(const CLI::App& arguments, const std::string& option) {
  const std::string text = text_of(arguments, option);
  double rate = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
  if (error == std::errc() && end == text.data() + text.size() && rate > 0 && rate <= 1e3)
    return rate;
  throw Error(ErrorKind::kUsage, fmt::format("{}: \"{}\" is no rate above 0", option, text));
}

}  // namespace

int run_find_lr(const CLI::App& arguments) {
  const FindRateOptions search = {.lowest = rate_in(arguments, "--lowest"),
                                  .highest = rate_in(arguments, "--highest"),
                                  .steps = number_of(arguments, "--steps")};
  if (search.lowest >= search.highest)
    throw Error(ErrorKind::kUsage, "--lowest must be below --highest");
  const RunConfig config =
      RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  const std::string folder = text_of(arguments, "--report");
  if (!folder.empty()) {
    refuse_report_over(folder, {config.path});
    std::filesystem::create_directories(folder);
    remove_leftovers(folder);
  }
  const FoundRate found = find_lr(config, search, &catch_stop_signals());
  const Report report = find_lr_report(config, found);
  RunSummary summary;
  summary.title = "learning rate";
  summary.split = "train";
  summary.model = config.model;
  summary.command = command_line(arguments);
  summary.config = config.resolved;
  print_report(report, summary, flag_of(arguments, "--json"), "with --json");
  if (!folder.empty()) write_reports(folder, report, summary);
  return catch_stop_signals() ? stop_exit_code() : 0;
}

}  // namespace hone
