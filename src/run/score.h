// Scores what any program predicted: a file of predictions beside a file of gold rows.
#pragma once

#include "data/clean.h"
#include "data/reader.h"
#include "tasks/task.h"

namespace hone {

struct Predicted {
  SourceOptions gold;
  CleanOptions clean;         // of the gold rows
  SourceOptions predictions;  // a row for each gold row, in their order
};

// Gold rows that cleaning or `on_bad_row: skip` leaves out are counted in `audit`; one line tells
// of them. Error(kData) at its line for a prediction that is of another row, that is missing or too
// many, or that holds no answer.
Report score(const Task& task, const Predicted& files, SplitAudit& audit);

// The same, with a section "against" that sets it beside other predictions of the same gold rows:
// differences of the metrics that have intervals, by the paired bootstrap.
Report score_against(const Task& task, const Predicted& files, const SourceOptions& others,
                     SplitAudit& audit);

// What of a report and another one of the same rows differs: a row for each metric that both have
// with an interval. `name`: of the other one.
PlainTable differences_of(const Report& report, const Report& other, const std::string& name);

}  // namespace hone
