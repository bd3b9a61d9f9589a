#include "run/repeats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/log.h"
#include "run/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

struct Spread {
  std::vector<double> values;  // by run
  bool greater_is_better = true;

  double mean() const {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  // Of a sample: divided by one less than their number. NaN of one run.
  double deviation() const {
    double squares = 0;
    for (const double value : values) squares += (value - mean()) * (value - mean());
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
  }
  double lowest() const { return *std::min_element(values.begin(), values.end()); }
  double highest() const { return *std::max_element(values.begin(), values.end()); }
};

using Spreads = std::vector<std::pair<std::string, Spread>>;

Spread& spread_named(const std::string& name, Spreads& spreads) {
  for (auto& [known, spread] : spreads) {
    if (known == name) return spread;
  }
  return spreads.emplace_back(name, Spread()).second;
}

// The metrics of all runs, in the order of the first; one that a run could not tell is left out.
Spreads spreads_of(const std::vector<OneRun>& runs) {
  Spreads spreads;
  for (const OneRun& run : runs) {
    if (run.report.is_null()) continue;
    for (const auto& [name, value] : run.report.at("metrics").items()) {
      if (!value.is_number()) continue;
      Spread& spread = spread_named(name, spreads);
      spread.values.push_back(value.get<double>());
      spread.greater_is_better = is_greater_better(run.report, name);
    }
  }
  return spreads;
}

PlainTable spread_table(const Spreads& spreads) {
  PlainTable table{
      .note =
          "over the runs, each on its own test rows; ±: their sample standard deviation. It says "
          "how far another run may lie from these, the interval of one run how far other rows "
          "may move it",
      .columns = {{"metric", "metric"},
                  {"mean", "mean"},
                  {"deviation", "±"},
                  {"lowest", "lowest"},
                  {"highest", "highest"},
                  {"runs", "runs"}}};
  for (const auto& [name, spread] : spreads)
    table.rows.push_back({name, finite(spread.mean()), finite(spread.deviation()),
                          finite(spread.lowest()), finite(spread.highest()), spread.values.size()});
  return table;
}

Json interval_in(const Json& report, size_t end) {
  const Json metric = report.value("metric", Json()),
             all = report.value("intervals", Json::object());
  if (!metric.is_string() || !all.contains(metric.get<std::string>())) return nullptr;
  return all[metric.get<std::string>()].at(end);
}

std::vector<Json> run_row(const OneRun& run) {
  if (run.report.is_null()) {
    const std::string why = run.failure ? std::string("failed: ") + run.failure->what() : "not run";
    return {run.seed, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, why};
  }
  const Json timing = run.report.value("timing", Json::object());
  return {run.seed,
          run.report.value("score", Json()),
          interval_in(run.report, 0),
          interval_in(run.report, 1),
          run.report.value("n", Json()),
          timing.value("best_step", Json()),
          timing.value("train_seconds", Json()),
          fs::path(run.folder).filename().string()};
}

PlainTable runs_table(const RunConfig& config, const std::vector<OneRun>& runs) {
  PlainTable table{.note = "from, to: 95 %, bootstrap over the run's own test rows",
                   .columns = {{"seed", "seed"},
                               {"score", "score"},
                               {"low", "from"},
                               {"high", "to"},
                               {"n", "rows"},
                               {"best_step", "best step"},
                               {"train_seconds", "train s"},
                               {"folder", "folder"}}};
  for (const OneRun& run : runs) table.rows.push_back(run_row(run));
  if (config.repeats.front().fold == 0) return table;
  table.columns.insert(table.columns.begin(), PlainTable::Column{"fold", "fold"});
  for (size_t i = 0; i < runs.size(); ++i)
    table.rows[i].insert(table.rows[i].begin(), config.repeats[i].fold);
  return table;
}

// Rows that were tested with one seed: of all its folds.
int64_t rows_tested(const std::vector<OneRun>& runs) {
  std::map<int64_t, int64_t> by_seed;
  int64_t most = 0;
  for (const OneRun& run : runs) {
    if (!run.report.is_null())
      most = std::max(most, by_seed[run.seed] += run.report.value("n", int64_t{0}));
  }
  return most;
}

std::vector<Finding> findings_of(const std::vector<OneRun>& runs) {
  std::vector<Finding> found;
  const auto missing = std::count_if(runs.begin(), runs.end(),
                                     [](const OneRun& run) { return run.report.is_null(); });
  if (missing > 0)
    found.push_back({fmt::format("{} of {} runs gave no report; means and deviations are of the "
                                 "others",
                                 missing, runs.size()),
                     {},
                     {}});
  return found;
}

// What holds a run already, of those that are to be made.
std::vector<std::string> folders_in_use(const RunConfig& config) {
  std::vector<std::string> folders;
  for (const RunConfig& run : config.repeats) {
    if (fs::exists(RunFolder::config_in(run.output_dir))) folders.push_back(run.output_dir);
  }
  return folders;
}

void prepare_repeats_folder(const RunConfig& config, const RunOptions& options) {
  const std::vector<std::string> used = folders_in_use(config);
  if (used.empty() || options.resume) return;
  if (!config.overwrite)
    throw Error(ErrorKind::kUsage, {used.front()},
                "holds one of these runs. Go on with the same command and --resume, which makes "
                "those that are not done, name another output.dir, or replace all with "
                "--overwrite.");
  for (const std::string& folder : used) fs::remove_all(folder);
}

void write_repeats(const RunConfig& config, RepeatsResult& result) {
  result.report = repeats_report(config, result.runs);
  const std::string folder = config.output_dir;
  write_file(folder + "/runs.txt", report_text(result.report, result.summary, "in runs.json"));
  write_file(folder + "/runs.html", report_html(result.report, result.summary));
  write_file(folder + "/runs.json", to_text(report_json(result.report, result.summary), 2) + "\n");
}

}  // namespace

const Error* RepeatsResult::failure() const {
  for (const OneRun& run : runs) {
    if (run.failure) return &*run.failure;
  }
  return nullptr;
}

Report repeats_report(const RunConfig& config, const std::vector<OneRun>& runs) {
  Report report;
  report.task = config.make_task(0)->info().name;
  report.n = rows_tested(runs);
  for (const OneRun& run : runs) {
    if (run.report.is_null()) continue;
    report.metric = run.report.value("metric", "");
    break;
  }
  const Spreads spreads = spreads_of(runs);
  for (const auto& [name, spread] : spreads) {
    report.metrics.push_back({name, spread.mean(), spread.greater_is_better, {}, {}});
    if (name == report.metric) report.score = spread.mean();
  }
  report.found = findings_of(runs);
  report.sections.push_back({"spread", "spread over runs", spread_table(spreads)});
  report.sections.push_back({"runs", "runs", runs_table(config, runs)});
  return report;
}

RepeatsResult run_repeats(const RunConfig& config, const RunOptions& options,
                          const std::vector<Listener>& listeners) {
  if (config.data.tested().empty())
    throw Error(ErrorKind::kUsage, {config.path},
                "has neither test nor validation data, and so no score to take the mean of");
  fs::create_directories(config.output_dir);
  const FolderLock lock(config.output_dir);
  prepare_repeats_folder(config, options);
  RepeatsResult result;
  result.summary.title = run_name(config.output_dir);
  result.summary.model = config.model;
  result.summary.command = options.command;
  result.summary.split = config.data.tested().front();
  result.summary.config = config.resolved;
  for (const RunConfig& run : config.repeats)
    result.runs.push_back({run.train.seed, run.output_dir, {}, {}});
  RunsLog log("runs", result.runs.size());
  for (size_t i = 0; i < result.runs.size() && !result.interrupted; ++i) {
    const RunConfig& run = config.repeats[i];
    log_event("run {} of {}: {}seed {}", i + 1, result.runs.size(),
              run.fold == 0 ? "" : fmt::format("fold {}, ", run.fold), run.train.seed);
    log.begin(i);
    result.runs[i] = run_or_take(run, options, listeners);
    result.interrupted = result.runs[i].interrupted;
    write_repeats(config, result);
  }
  return result;
}

}  // namespace hone
