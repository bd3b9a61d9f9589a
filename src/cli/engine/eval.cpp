#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/print_report.h"
#include "run/audit.h"
#include "run/environment.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "tune/machine.h"

namespace hone {
namespace {

constexpr const char* kSplit = "test";  // what the data are, as in a run's report

Dataset dataset_of(const Reading& reading, const Task& task) {
  DataOptions options;
  options.sources[kSplit] = reading.source;
  options.clean = reading.clean;
  return {std::move(options), task.text_fields()};
}

// Scores the data, and writes a line for each record where `predictions` is given.
Evaluation evaluate(Pipeline& pipeline, Dataset& data, PredictOptions options,
                    PredictionFile* predictions) {
  EncodingAudit audit(data.audits()[kSplit], pipeline.task(), pipeline.tokenizer());
  options.encoded = [&](const Record& record, const std::vector<Sample>& samples, bool truncated) {
    audit.add(record, samples, truncated);
  };
  options.failed = [&](int64_t, const Error& error) { data.leave_out(kSplit, error); };
  const auto records = data.open_once(kSplit);
  Evaluation evaluation = pipeline.evaluate([&] { return records->next(); }, options,
                                            [&](const Record& record, const Json& result) {
                                              if (predictions) predictions->add(record, result);
                                            });
  audit.finish();
  if (predictions) predictions->commit();
  return evaluation;
}

}  // namespace

int run_eval(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const std::string path = text_of(arguments, "DATA");
  Dataset data = dataset_of(reading_of(path, arguments, *pipeline), pipeline->task());
  RunSummary summary;
  const std::string folder = text_of(arguments, "--report");
  std::optional<PredictionFile> predictions;
  if (!folder.empty()) {
    refuse_report_over(folder, {text_of(arguments, "MODEL"), text_of(arguments, "DATA")});
    std::filesystem::create_directories(folder);
    remove_leftovers(folder);
    predictions.emplace(folder + "/predictions.jsonl", pipeline->task());
  }
  const auto start = std::chrono::steady_clock::now();
  const Evaluation evaluation =
      evaluate(*pipeline, data, predict_options(arguments), predictions ? &*predictions : nullptr);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.data = data.audits();
  tell_audit(path, summary.data[kSplit],
             folder.empty() ? "--report FOLDER" : folder + "/report.json");
  if (evaluation.report.n == 0)
    throw Error(ErrorKind::kData, {path},
                fmt::format("leaves no row to score, of {} read.", summary.data[kSplit].rows));
  summary.model = text_of(arguments, "MODEL");
  summary.title = run_name(summary.model);
  summary.command = command_line(arguments);
  summary.timing = {
      {"tokens_per_second", static_cast<double>(evaluation.tokens) / std::max(seconds, 1e-9)},
      {"test_seconds", seconds},
      {"loss", evaluation.loss},
      {"peak_memory_bytes", peak_memory_bytes()}};
  const at::Device device = pipeline->network().device();
  summary.environment = environment_json(device);
  summary.environment["precision"] =
      precision_name(resolve_precision(text_of(arguments, "--precision"), device));
  summary.environment["threads"] = at::get_num_threads();
  print_report(evaluation.report, summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  if (predictions) write_reports(folder, evaluation.report, summary);
  return 0;
}

}  // namespace hone
