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

// The words of the section `data`, how to read the gold file, or the others, options of the task.
std::vector<std::string> words_of(const CLI::App& arguments, bool of_data) {
  constexpr std::string_view kTask = "task.", kData = "data.";
  std::vector<std::string> words;
  for (std::string word : list_of(arguments, "KEY=VALUE")) {
    if (word.starts_with(kData) != of_data) continue;
    if (word.starts_with(kTask)) word.erase(0, kTask.size());  // as `hone eval` writes them
    words.push_back(std::move(word));
  }
  return words;
}

// One by its name, with these options; or that of a saved model.
std::shared_ptr<const Task> task_of(const CLI::App& arguments) {
  const std::string name = text_of(arguments, "TASK"), part = text_of(arguments, "--task");
  const std::vector<std::string> options = words_of(arguments, /*of_data=*/false);
  if (std::filesystem::is_directory(name)) return load_task(name, options, part);
  if (!part.empty())
    throw Error(ErrorKind::kUsage,
                "--task names one of the tasks of a model; give its folder in place of TASK");
  if (name == several::kTaskName)
    throw Error(ErrorKind::kUsage,
                "several tasks are scored with the options that their model was trained with; give "
                "its folder in place of TASK");
  Config config = Config::parse("", "command line", options);
  std::shared_ptr<const Task> task = task_named(name).make(config, 0);
  config.refuse_unknown();
  return task;
}

Scoring configure(const CLI::App& arguments) {
  std::vector<std::string> words = words_of(arguments, /*of_data=*/true);
  words.emplace_back("data.path=\"-\"");  // the name itself may hold any bytes, which YAML may not
  Config config = Config::parse("", "command line", words);
  Config data = config.section("data"), clean = data.section("clean");
  Scoring scoring{task_of(arguments), {SourceOptions::read(data), CleanOptions::read(clean), {}}};
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
