#include "run/score.h"

#include <filesystem>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/reports.h"
#include "run/run_folder.h"

namespace hone {
namespace {

struct Scoring {
  std::unique_ptr<Task> task;
  Predicted files;
};

// The task's options and, under "data", how to read the gold file.
Scoring configure(const CLI::App& arguments) {
  std::vector<std::string> overrides = list_of(arguments, "KEY=VALUE");
  for (std::string& word : overrides) {  // as messages and `hone eval` write them
    if (word.starts_with("task.")) word.erase(0, std::string_view("task.").size());
  }
  overrides.emplace_back(
      "data.path=\"-\"");  // the name itself may hold any bytes, which YAML may not
  Config config = Config::parse("", "command line", overrides);
  Config data = config.section("data"), clean = data.section("clean");
  Scoring scoring{task_named(text_of(arguments, "TASK")).make(config, 0),
                  {SourceOptions::read(data), CleanOptions::read(clean), {}}};
  config.refuse_unknown();
  scoring.files.gold.path = text_of(arguments, "GOLD");
  scoring.files.predictions.path = text_of(arguments, "PREDICTED");
  return scoring;
}

void prepare_folder(const std::string& folder, const std::vector<std::string>& inputs) {
  if (folder.empty()) return;
  refuse_report_over(folder, inputs);
  std::filesystem::create_directories(folder);
  remove_leftovers(folder);
}

}  // namespace

int run_score(const CLI::App& arguments) {
  const auto [task, files] = configure(arguments);
  const std::string against = text_of(arguments, "--against"),
                    folder = text_of(arguments, "--report");
  RunSummary summary;
  tell_idle("data", idle_options(files.gold));
  tell_idle("data", idle_options(files.clean));
  std::vector<std::string> inputs = {files.gold.path, files.predictions.path};
  if (!against.empty()) inputs.push_back(against);
  prepare_folder(folder, inputs);
  SourceOptions others;
  others.path = against;
  SplitAudit& audit = summary.data["test"];
  const Report report =
      against.empty() ? score(*task, files, audit) : score_against(*task, files, others, audit);
  summary.title = run_name(files.predictions.path);
  summary.command = command_line(arguments);
  print_report(report, summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  if (!folder.empty()) write_reports(folder, report, summary);
  return 0;
}

}  // namespace hone
