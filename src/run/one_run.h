// A run among others (a suite's, one for each seed, a sweep's): what has ended is not run again,
// what was interrupted goes on, what fails does not end the rest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run/fine_tune.h"

namespace hone {

// What a run gave, or why it failed.
struct OneRun {
  int64_t seed = 0;
  std::string folder;
  Json report;                   // as in report.json; null where it failed or was not run
  std::optional<Error> failure;  // nothing where it ended
  bool interrupted = false;
};

// Whether a run's report.json says that greater values of a metric are better.
bool is_greater_better(const Json& report, const std::string& metric);

// The report of a run that has ended; nothing of another. Error(kUsage) where the folder holds a
// run of another configuration.
std::optional<Json> report_in(const RunConfig& config);

// `options.resume` is decided by what the folder holds. An error is told, and stands in the result.
OneRun run_or_take(const RunConfig& config, const RunOptions& options,
                   const std::vector<Listener>& listeners);

}  // namespace hone
