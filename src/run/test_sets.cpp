#include "run/test_sets.h"

#include <algorithm>

#include "tasks/metrics/bootstrap.h"

namespace hone {
namespace {

const Metric* metric_of(const Report& report, const std::string& name) {
  const auto found = std::find_if(report.metrics.begin(), report.metrics.end(),
                                  [&](const Metric& metric) { return metric.name == name; });
  return found == report.metrics.end() ? nullptr : &*found;
}

void add_interval(const std::optional<Interval>& interval, std::vector<Json>& row) {
  row.push_back(interval ? finite(interval->low) : Json());
  row.push_back(interval ? finite(interval->high) : Json());
}

// How much worse the main metric is here than on the first set; nothing for that one itself.
void add_drop(const Report& first, const Report& here, std::vector<Json>& row) {
  const Metric *a = first.main(), *b = here.main();
  if (&first == &here || a == nullptr || b == nullptr) {
    row.insert(row.end(), 3, Json());
    return;
  }
  if (!a->greater_is_better) std::swap(a, b);
  row.push_back(finite(a->value - b->value));
  add_interval(metrics::interval_of_difference(*a, *b), row);
}

std::vector<Json> row_of(const TestSet& set, const Report& first) {
  const Metric* main = set.report->main();
  std::vector<Json> row = {set.name, set.report->n, main == nullptr ? Json() : finite(main->value)};
  add_interval(main == nullptr ? std::nullopt : main->interval, row);
  add_drop(first, *set.report, row);
  for (const Metric& metric : first.metrics) {
    if (metric.name == first.metric) continue;
    const Metric* here = metric_of(*set.report, metric.name);
    row.push_back(here == nullptr ? Json() : finite(here->value));
  }
  return row;
}

}  // namespace

Section test_sets_section(const std::vector<TestSet>& sets) {
  const Report& first = *sets.front().report;
  PlainTable table;
  table.columns = {{"name", "set"}, {"n", "rows"},    {"score", first.metric}, {"low", "from"},
                   {"high", "to"},  {"drop", "drop"}, {"drop_low", "from"},    {"drop_high", "to"}};
  for (const Metric& metric : first.metrics) {
    if (metric.name != first.metric) table.columns.push_back({metric.name, metric.name});
  }
  for (const TestSet& set : sets) table.rows.push_back(row_of(set, first));
  table.note = "drop: how much worse " + first.metric + " is than on " + sets.front().name +
               "; from, to: 95 % intervals, bootstrap over records";
  return {"test_sets", "test sets", std::move(table)};
}

}  // namespace hone
