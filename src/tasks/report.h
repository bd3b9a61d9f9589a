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
#include "tasks/sections.h"

namespace hone {

struct Interval {
  double low = 0, high = 0;        // 95 %, bootstrap over records
  std::vector<double> draws = {};  // the resampled values, for the interval of a difference
};
struct Metric {
  std::string name;
  double value = 0;
  bool greater_is_better = true;
  std::optional<Interval> interval = {};
  std::optional<double> baseline = {};  // what Report::baseline gets
};
// What a task calls a number, and which way is better: {"f1", less_is_better("mse")}.
struct MetricName {
  MetricName(const char* name) : name(name) {}  // NOLINT(google-explicit-constructor)
  const char* name;
  bool greater_is_better = true;
};
inline MetricName less_is_better(MetricName metric) {
  metric.greater_is_better = false;
  return metric;
}

// Two rows beside each other.
struct Comparison {
  Where here, there;
  std::string text, other_text;
  std::string note;  // how alike they are, or their labels
};

// What a reader should know before believing a score.
struct Finding {
  std::string text;                // one sentence, without the names
  std::vector<std::string> names;  // whom it is about
  std::vector<Comparison> examples;

  Json json() const;
};

// What a scorer knows. A task without a metric leaves `metric` empty; a run is judged by its loss
// then.
struct Report {
  std::string task, metric;
  double score = 0;               // of metrics, the one named `metric`
  int64_t n = 0;                  // records scored
  std::vector<Metric> metrics;    // in the order to show
  std::string baseline;           // what needs no model: "always spam"; empty: there is none
  std::vector<Section> sections;  // in the order to show; tables stand first in text, examples last
  std::vector<Finding> found;     // by the task; findings() has the others too

  // Metrics with, where given, their intervals and baselines, in the same order.
  void add(const std::vector<MetricName>& names, const std::vector<double>& values,
           const std::vector<Interval>& ranges = {}, const std::vector<double>& baselines = {});
  // Of a task that answers several questions: the report on one of them, its metrics and sections
  // under names that begin with `prefix` ("slot_" gives "slot_f1"), headings with `heading`.
  void add_part(Report part, const std::string& prefix, const std::string& heading);
  const Metric* main() const;  // the one named `metric`; nullptr where there is none
  const Metric& named(const std::string& metric_name) const;  // Error(kUsage) naming the known ones
  double value(const std::string& metric_name) const { return named(metric_name).value; }
  // As docs/file-formats.md says. Error(kInternal) where two sections have one key, or a section's
  // is one of the report's own.
  Json json() const;
};

// An option that the configuration left to the validation data ("auto"), as the trained model's
// answers there decided it.
struct ChosenOption {
  std::string option;           // "no_answer_threshold"
  double value = 0;             // in force from now on
  std::string metric;           // what it was chosen by: "f1"
  double score = 0, usual = 0;  // the metric on the validation data: with the value, and before

  Json json() const;
  std::string text() const;  // one sentence
};

// What a run adds around it.
struct RunSummary {
  std::string title, model, command;
  std::string split = "test";              // what was scored; "validation" chose the model
  std::map<std::string, SplitAudit> data;  // by split
  std::vector<Leak> leaks;
  std::vector<ChosenOption> chosen;
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

// All findings: of the run's data, of the score, and the task's own.
std::vector<Finding> findings(const Report& report, const RunSummary& run);

// Findings, tables, metrics with intervals and baseline, examples; `rest` says where the examples
// that are not shown stand.
std::string report_text(const Report& report, const RunSummary& run,
                        const std::string& rest = "in report.json");
// No outside link; inline SVG, a few lines of script to sort; light and dark; phone width; print.
std::string report_html(const Report& report, const RunSummary& run);
Json report_json(const Report& report, const RunSummary& run);

}  // namespace hone
