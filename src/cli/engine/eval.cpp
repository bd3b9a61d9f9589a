#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/environment.h"
#include "cli/engine/inference.h"
#include "cli/engine/run.h"
#include "tune/machine.h"

namespace hone {
namespace {

// Scores the data, and writes a line for each record where `predictions` is given.
Evaluation evaluate(Pipeline& pipeline, const SourceOptions& source, const PredictOptions& options,
                    PredictionFile* predictions, SplitAudit& audit) {
  const auto reader = open_reader(source);
  int64_t used = 0;
  const Evaluation evaluation = pipeline.evaluate([&] { return reader->next(); }, options,
                                                  [&](const Record& record, const Json& result) {
                                                    ++used;
                                                    if (predictions)
                                                      predictions->add(record, result);
                                                  });
  if (used == 0)
    throw Error(ErrorKind::kData, {source.path}, "holds no rows; there is nothing to score.");
  if (predictions) predictions->commit();
  audit.rows = audit.used = used;
  count_reader(*reader, audit);
  audit.truncated = evaluation.truncated;
  return evaluation;
}

}  // namespace

int run_eval(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const SourceOptions source =
      source_from(text_of(arguments, "DATA"), list_of(arguments, "KEY=VALUE"));
  RunSummary summary;
  SplitAudit& audit = summary.data["test"];
  const std::string folder = text_of(arguments, "--report");
  std::optional<PredictionFile> predictions;
  if (!folder.empty()) {
    std::filesystem::create_directories(folder);
    predictions.emplace(folder + "/predictions.jsonl", pipeline->task());
  }
  const auto start = std::chrono::steady_clock::now();
  const Evaluation evaluation = evaluate(*pipeline, source, predict_options(arguments),
                                         predictions ? &*predictions : nullptr, audit);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
  print_report(evaluation.report, summary, flag_of(arguments, "--json"));
  if (predictions) write_reports(folder, evaluation.report, summary);
  return 0;
}

}  // namespace hone
