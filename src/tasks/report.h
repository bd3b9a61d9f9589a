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
  int64_t support = 0, predicted = 0;  // how often it was there, how often it was predicted
};
struct Interval {
  double low = 0, high = 0;  // 95 %, bootstrap over records
};
struct Metric {
  std::string name;
  double value = 0;
  bool greater_is_better = true;
  std::optional<Interval> interval;
  std::optional<double> baseline;  // what Report::baseline gets
};
struct Confusion {
  std::vector<std::string> labels;
  std::vector<std::vector<int64_t>> counts;  // [gold][predicted]
};
struct ReliabilityBin {
  double confidence = 0, accuracy = 0;  // means over what fell in (low, high]
  int64_t count = 0;
  double low = 0, high = 0;
};
struct Mistake {
  Where where;
  std::string text, gold, predicted;
  double confidence = 0;  // 0: not known
};

bool greater_is_better(const std::string& metric);  // false for losses and errors ("loss", "mse",
                                                    // "ece", "hamming_loss", …)

// What a scorer knows. Averages are rows named "micro avg", "macro avg", "weighted avg", "samples
// avg" as scikit-learn prints them.
struct Report {
  std::string task, metric;
  double score = 0;             // of metrics, the one named `metric`
  int64_t n = 0;                // records scored
  std::vector<Metric> metrics;  // in the order to show
  std::string baseline;         // what needs no model: "always spam"; empty: there is none
  std::vector<ClassRow> per_class, averages;
  std::optional<Confusion> confusion;
  std::vector<ReliabilityBin> reliability;     // empty where the task has no confidence
  std::vector<Mistake> mistakes;               // most confident first, at most 100
  std::string mistake_measure = "confidence";  // what Mistake::confidence is: or "error"

  // Metrics with, where given, their intervals and baselines, in the same order.
  void add(const std::vector<const char*>& names, const std::vector<double>& values,
           const std::vector<Interval>& ranges = {}, const std::vector<double>& baselines = {});
  double value(const std::string& metric_name) const;  // Error(kUsage) naming the known ones
  Json json() const;                                   // as docs/file-formats.md says
};

// What a run adds around it.
struct RunSummary {
  std::string title, model, command;
  std::string split = "test";              // what was scored; "validation" chose the model
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

// The name of a run or model by its folder: the last part of the path that is not "model".
std::string run_name(const std::string& folder);

std::string mistakes_title(const Report& report);  // "most confident mistakes", "largest errors"

// Findings, classification_report's look, metrics with intervals and baseline, mistakes; `rest`
// says where the mistakes that are not shown stand.
std::string report_text(const Report& report, const RunSummary& run,
                        const std::string& rest = "in report.json");
// No outside link; inline SVG, a few lines of script to sort; light and dark; phone width; print.
std::string report_html(const Report& report, const RunSummary& run);
Json report_json(const Report& report, const RunSummary& run);

}  // namespace hone
