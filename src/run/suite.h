// A list of runs with one model: trained and tested one after the other, in one table. What has
// ended is not run again; what fails does not end the rest.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "run/one_run.h"

namespace hone {

struct SuiteOptions {
  std::string list;                    // the file, as docs/suite.md describes it
  std::string model;                   // for all entries; "": as they say
  std::string data;                    // what $DATA stands for; "": nothing
  std::string out;                     // the folder of runs and table
  int64_t seeds = 1;                   // runs of each entry, seeds one after the other
  std::vector<std::string> overrides;  // "dotted.key=value" of every entry
  std::string command;                 // for the report
  std::atomic<bool>* stop_requested = nullptr;
};

struct SuiteEntry {
  std::string name, note;
  std::vector<RunConfig> runs;  // one for each seed
};

struct Suite {
  std::string name;
  std::vector<SuiteEntry> entries;
};

// Every complaint names its place in the list: an entry twice, unknown keys, values out of range.
Suite read_suite(const SuiteOptions& options);

struct SuiteRow {
  std::string name, task, note;
  std::vector<OneRun> runs;
};
struct SuiteResult {
  std::string name;
  std::vector<SuiteRow> rows;  // in the order of the list
  bool interrupted = false;
  const Error* failure() const;  // the first one; nullptr: none
};

// Runs what has not ended, and writes suite.json, suite.md and suite.html into options.out after
// each run.
SuiteResult run_suite(const Suite& suite, const SuiteOptions& options,
                      const std::vector<Listener>& listeners = {});

}  // namespace hone
