// What a run needs before it can train, and what it leaves behind.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/engine/dataset.h"
#include "cli/engine/run_config.h"
#include "data/places.h"
#include "data/sample_store.h"
#include "tasks/pipeline.h"
#include "tune/identity.h"

namespace hone {

// Model and data, found and looked through; the task knows its labels.
struct Prepared {
  std::string model_folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Task> task;
  Dataset dataset;
};

Prepared prepare(const RunConfig& config);

// The training split as samples, where each record stands, and what identifies the rows.
struct TrainingData {
  SampleStore samples;
  Places places;
  RowFingerprint train_rows, validation_rows;
};
// Encodes all splits, then warns of dropped rows and leakage: a bad row of the test data is an
// error before training, not after it.
TrainingData encode_data(const RunConfig& config, Prepared& prepared);

// report.json, report.html and report.txt.
void write_reports(const std::string& folder, const Report& report, const RunSummary& summary);

// A line for each result: the record's texts, the result's fields, where the record stands.
class PredictionFile {
 public:
  PredictionFile(const std::string& path, const Task& task) : file_(path), task_(task) {}
  void add(const Record& record, const Json& result);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  const Task& task_;
};

// stdout: the report for people, or as one JSON line.
// `rest` says where mistakes stand that the text does not show.
void print_report(const Report& report, const RunSummary& summary, bool as_json,
                  const std::string& rest);

}  // namespace hone
