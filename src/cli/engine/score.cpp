#include "run/score.h"

#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "data/idle_options.h"
#include "run/audit.h"

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

}  // namespace

int run_score(const CLI::App& arguments) {
  const auto [task, files] = configure(arguments);
  RunSummary summary;
  tell_idle("data", idle_options(files.gold));
  tell_idle("data", idle_options(files.clean));
  const Report report = score(*task, files, summary.data["test"]);
  summary.title = run_name(files.predictions.path);
  summary.command = fmt::format("hone score {} {} {}", text_of(arguments, "TASK"), files.gold.path,
                                files.predictions.path);
  print_report(report, summary, flag_of(arguments, "--json"), "with --json");
  return 0;
}

}  // namespace hone
