// Two runs on the same test rows: which is better, by how much, and in which rows they differ.
#pragma once

#include <string>

#include "tasks/report.h"

namespace hone {

// Each a run's folder with report, predictions and model. The report is the first run's, on the
// rows of its test data, with sections of the differences: metrics by the paired bootstrap; of a
// task whose answers are right or wrong also McNemar's test, and the rows that one of the two alone
// gets right. Error(kUsage) for folders that hold no such run or runs of other tasks, Error(kData)
// where they were tested on other rows, or where those have changed since.
Report compare_runs(const std::string& run, const std::string& other);

}  // namespace hone
