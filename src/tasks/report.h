// The test report as plain values, and its three forms: text, JSON, one offline HTML page.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/clean.h"
#include "data/record.h"

namespace hone {

struct ClassRow {
  std::string label;
  double precision = 0, recall = 0, f1 = 0;
  int64_t support = 0;
};
struct Interval {
  double low = 0, high = 0;  // 95 %, bootstrap over records
};
struct Confusion {
  std::vector<std::string> labels;
  std::vector<std::vector<int64_t>> counts;  // [gold][predicted]
};
struct ReliabilityBin {
  double confidence = 0, accuracy = 0;
  int64_t count = 0;
};
struct Mistake {
  Where where;
  std::string text, gold, predicted;
  double confidence = 0;
};

bool greater_is_better(const std::string& metric);  // false for losses and errors ("loss", "mse",
                                                    // "ece", "hamming_loss", …)

// What a scorer knows. Averages are rows named "micro avg", "macro avg", "weighted avg", "samples
// avg" as scikit-learn prints them.
struct Report {
  std::string task, metric;
  double score = 0;                                     // metrics[metric]
  int64_t n = 0;                                        // records scored
  std::vector<std::pair<std::string, double>> metrics;  // in the order to show
  std::map<std::string, Interval> intervals;            // by metric name
  std::vector<ClassRow> per_class, averages;
  std::optional<Confusion> confusion;
  std::vector<ReliabilityBin> reliability;  // empty where the task has no confidence
  std::vector<Mistake> mistakes;            // most confident first, at most 100

  double value(const std::string& metric_name) const;  // Error(kUsage) naming the known ones
  Json json() const;                                   // as docs/file-formats.md says
};

// What a run adds around it.
struct RunSummary {
  std::string title, model, command;
  std::map<std::string, SplitAudit> data;  // by split
  std::vector<Leak> leaks;
  struct Point {
    int64_t step;
    double epoch, value;
  };
  std::map<std::string, std::vector<Point>>
      curves;          // "loss", "validation accuracy", "learning rate"
  Json timing;         // {"tokens_per_second", "train_seconds", …}
  Json environment;    // versions, machine, threads, precision
  std::string config;  // resolved YAML
};

std::string report_text(
    const Report& report);  // classification_report's look, then intervals and mistakes
std::string report_html(
    const Report& report,
    const RunSummary& run);  // no outside link; inline SVG; light and dark; phone width
Json report_json(const Report& report, const RunSummary& run);

}  // namespace hone
