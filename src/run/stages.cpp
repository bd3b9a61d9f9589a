#include "run/stages.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/console.h"
#include "base/file.h"
#include "base/log.h"
#include "run/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

std::string stages_folder(const RunConfig& config) { return config.output_dir + "/stages"; }

// Whether the run in the stage's folder has ended; Error(kUsage) where it is of another
// configuration.
bool has_ended(const RunConfig& stage) {
  const std::string config = RunFolder::config_in(stage.output_dir);
  if (!fs::exists(config)) return false;
  if (read_file(config, ErrorKind::kUsage) != stage.resolved)
    throw Error(ErrorKind::kUsage, {config},
                fmt::format("stage \"{}\" was begun with another configuration. Go on with that "
                            "one, name another output.dir, or train all anew with --overwrite.",
                            stage.stage));
  return RunFolder::is_finished(stage.output_dir, !stage.data.tested().empty());
}

StageOutcome outcome_of(const RunConfig& stage) {
  const std::string report = stage.output_dir + "/report.json";
  if (fs::exists(report)) return {stage.stage, read_json(report, ErrorKind::kUsage)};
  return {stage.stage, {{"task", stage.make_task(0)->info().name}}};
}

// Stages of before are kept where they are gone on with, removed where they are replaced.
void prepare_folder(const RunConfig& config, const RunOptions& options, RunFolder& folder) {
  if (options.resume) return;
  folder.open(/*resume=*/false, config.overwrite, config.train);  // refuses what it must
  if (config.overwrite) fs::remove_all(stages_folder(config));
  if (fs::exists(stages_folder(config)))
    throw Error(
        ErrorKind::kUsage, {config.output_dir},
        fmt::format("holds an interrupted run. Continue it with \"hone train {} --resume\", "
                    "name another output.dir, or replace it with --overwrite.",
                    console::shell_quoted(folder.config())));
}

// The run's own configuration, to go on with.
void write_config(const RunConfig& config, const RunFolder& folder) {
  std::error_code not_there;
  const bool is_own = fs::equivalent(config.path, folder.config(), not_there);
  if (!is_own || config.has_overrides) write_file(folder.config(), config.resolved);
}

}  // namespace

std::optional<RunResult> run_stages(const RunConfig& config, const RunOptions& options,
                                    const RunOne& run_one, std::vector<StageOutcome>& outcomes) {
  RunFolder folder(config.output_dir, !config.data.tested().empty());  // nobody else works there
  prepare_folder(config, options, folder);
  write_config(config, folder);
  for (const RunConfig& stage : config.stages) {
    log_info("stage {} of {}: {}", outcomes.size() + 1, config.stages.size() + 1, stage.stage);
    if (has_ended(stage)) {
      log_info("{} holds it: it is not trained again", stage.output_dir);
    } else {
      RunOptions own = options;
      own.resume = fs::exists(stage.output_dir + "/checkpoints");
      RunResult result = run_one(stage, own);
      if (result.training.interrupted) return result;
    }
    outcomes.push_back(outcome_of(stage));
  }
  log_info("stage {0} of {0}: the run itself", config.stages.size() + 1);
  return std::nullopt;
}

Section stages_section(const std::vector<StageOutcome>& outcomes) {
  PlainTable table;
  table.columns = {
      {"name", "stage"}, {"task", "task"}, {"metric", "metric"}, {"score", "score"},
      {"n", "rows"},     {"split", "on"},  {"steps", "steps"},   {"train_seconds", "seconds"}};
  const auto cell = [](const Json& object, const char* key) { return object.value(key, Json()); };
  for (const StageOutcome& outcome : outcomes) {
    const Json timing = outcome.report.value("timing", Json::object());
    table.rows.push_back({outcome.name, cell(outcome.report, "task"),
                          cell(outcome.report, "metric"), cell(outcome.report, "score"),
                          cell(outcome.report, "n"), cell(outcome.report, "split"),
                          cell(timing, "steps"), cell(timing, "train_seconds")});
  }
  table.note =
      "each stage begins with the model of the one before it; scores of different tasks "
      "do not compare";
  return {"stages", "stages", std::move(table)};
}

}  // namespace hone
