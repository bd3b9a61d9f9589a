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
#include "tasks/pipeline.h"
#include "tasks/several/several.h"

namespace hone {
namespace {

struct Scoring {
  std::shared_ptr<const Task> task;
  Predicted files;
};

// A model's folder; a task's name is one wherever a folder bears it too.
bool is_model(const std::string& name) {
  return tasks().find(name) == nullptr && std::filesystem::is_directory(name);
}

// The task of this name, its options from the section; or that of a saved model, with `options` in
// place of its own.
std::shared_ptr<const Task> gold_task(const CLI::App& arguments, Config& section,
                                      const std::vector<std::string>& options) {
  const std::string name = text_of(arguments, "TASK"), part = text_of(arguments, "--task");
  if (is_model(name)) return load_task(name, options, part);
  if (!part.empty())
    throw Error(ErrorKind::kUsage,
                "--task names one of the tasks of a model; give its folder in place of TASK");
  if (name == several::kTaskName)
    throw Error(ErrorKind::kUsage,
                "several tasks are scored with the options that their model was trained with; give "
                "its folder in place of TASK");
  return task_named(name).make(section, 0);
}

// The task's options and, under "data", how to read the gold file.
Scoring configure(const CLI::App& arguments) {
  const bool is_saved = is_model(text_of(arguments, "TASK"));
  std::vector<std::string> words, of_model;
  for (std::string word : list_of(arguments, "KEY=VALUE")) {
    if (word.starts_with("task."))  // as messages and `hone eval` write them
      word.erase(0, std::string_view("task.").size());
    (is_saved && !word.starts_with("data.") ? of_model : words).push_back(std::move(word));
  }
  words.emplace_back("data.path=\"-\"");  // the name itself may hold any bytes, which YAML may not
  Config config = Config::parse("", "command line", words);
  Config data = config.section("data"), clean = data.section("clean");
  Scoring scoring{gold_task(arguments, config, of_model),
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
