// What a test leaves: the report's files, and predictions row by row.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "data/record.h"
#include "tasks/report.h"
#include "tasks/task.h"

namespace hone {

// report.json, report.html and report.txt.
void write_reports(const std::string& folder, const Report& report, const RunSummary& summary);

// What is written for a record: its id and texts as they were read, and the result's fields over
// them.
Json with_inputs(const Record& record, const Json& result,
                 const std::vector<std::string>& text_fields);

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

}  // namespace hone
