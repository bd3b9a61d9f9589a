#include "run/tested.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "run/encode_split.h"
#include "run/environment.h"
#include "run/reports.h"
#include "tune/machine.h"

namespace hone {
namespace {

constexpr const char* kSplit = "test";  // what the data are, as in a run's report

}  // namespace

Dataset test_data(const Reading& reading, const Task& task, const RowFilter& only) {
  DataOptions options;
  options.only = only;
  options.sources[kSplit] = reading.source;
  options.clean = reading.clean;
  return {std::move(options), task.text_fields()};
}

Tested test(const Pipeline& pipeline, const EncodedSource& records, const PredictOptions& options,
            const std::string& predictions) {
  std::optional<PredictionFile> file;
  if (!predictions.empty()) file.emplace(predictions, pipeline.task());
  const auto start = std::chrono::steady_clock::now();
  Evaluation evaluation =
      pipeline.evaluate(records, options, [&](const Record& record, const Json& result) {
        if (file) file->add(record, result);
      });
  Tested tested;
  tested.is_interrupted = evaluation.is_interrupted;
  if (tested.is_interrupted) return tested;
  if (file) file->commit();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  tested.report = std::move(evaluation.report);
  tested.summary.timing = {
      {"tokens_per_second", static_cast<double>(evaluation.tokens) / std::max(seconds, 1e-9)},
      {"test_seconds", seconds},
      {"loss", evaluation.loss},
      {"peak_memory_bytes", peak_memory_bytes()}};
  tested.summary.environment = environment_json(pipeline.device());
  tested.summary.environment["precision"] = precision_name(pipeline.precision());
  tested.summary.environment["threads"] = at::get_num_threads();
  return tested;
}

Tested test_on(const Pipeline& pipeline, const Reading& reading, int64_t max_tokens,
               const std::string& report_folder, const RowFilter& only) {
  Dataset data = test_data(reading, pipeline.task(), only);
  EncodingStream stream(data, kSplit, data.open_once(kSplit), pipeline.task(),
                        pipeline.tokenizer());
  Tested tested = test(
      pipeline, [&] { return stream.next(); }, {.max_tokens = max_tokens},
      report_folder.empty() ? "" : report_folder + "/predictions.jsonl");
  const SplitAudit& audit = data.audits()[kSplit];
  if (tested.report.n == 0)
    throw Error(ErrorKind::kData, {reading.source.path},
                "leaves no row to score" + why_none(audit));
  tell_audit(reading.source.path, audit,
             report_folder.empty() ? "--report FOLDER" : report_folder + "/report.json");
  tested.summary.data = data.audits();
  return tested;
}

}  // namespace hone
