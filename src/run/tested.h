// A model tested on labelled data.
#pragma once

#include <functional>
#include <string>

#include "run/dataset.h"
#include "run/reading.h"
#include "tasks/pipeline.h"
#include "tasks/report.h"

namespace hone {

struct Tested {
  Report report;
  RunSummary summary;  // data, timing, environment; title, model and command are the caller's
  bool is_interrupted = false;  // `is_stopped` said so: the rest says nothing
};

using RowFilter = std::function<bool(const Record&)>;  // empty: all rows

// Labelled data that are no part of a run, as the split "test": those of its rows that `only`
// takes.
Dataset test_data(const Reading& reading, const Task& task, const RowFilter& only = nullptr);

// One pass over `records`, timed; a line for each goes to the file `predictions`, unless that is
// "". Ends early where options.is_stopped says so; then there is no file.
Tested test(const Pipeline& pipeline, const EncodedSource& records, const PredictOptions& options,
            const std::string& predictions);

// Tests a model on data of any length that may be read once only, as `hone eval` does. Rows that
// are left out are counted in the summary's data. Error(kData) for a bad row unless the source says
// on_bad_row: skip, and where no row is left. With `report_folder`, "" for none, predictions.jsonl
// is written there, see write_reports for the rest.
Tested test_on(const Pipeline& pipeline, const Reading& reading, int64_t max_tokens,
               const std::string& report_folder, const RowFilter& only = nullptr);

}  // namespace hone
