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

namespace hone {

// Model and data, found and looked through; the task knows its labels.
struct Prepared {
  std::string model_folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Task> task;
  Dataset dataset;
};

Prepared prepare(const RunConfig& config);

// The training split as samples, and where each record stands.
struct TrainingData {
  SampleStore samples;
  Places places;
};
// Encodes all splits, then warns of dropped rows and leakage: a bad row of the test data is an
// error before training, not after it.
TrainingData encode_data(const RunConfig& config, Prepared& prepared);

// The folder of a run (output.dir).
class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  // Whether the run continues. Error(kUsage) where the folder holds a run that neither is to be
  // continued nor may be replaced.
  bool open(bool resume, bool overwrite) const;
  void prepare() const;  // for a new run: the folder is there and holds nothing that a run writes;
                         // whatever else it holds stays
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

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
void print_report(const Report& report, const RunSummary& summary, bool as_json);

}  // namespace hone
