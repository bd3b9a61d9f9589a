#include "tasks/metrics/classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hone::metrics {
namespace {

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

}  // namespace

int64_t total_support(std::span<const ClassCounts> classes) {
  int64_t total = 0;
  for (const ClassCounts& counts : classes) total += counts.gold;
  return total;
}

Scores scores_of(const ClassCounts& c) {
  return {ratio(c.hits, c.predicted), ratio(c.hits, c.gold),
          ratio(2.0 * c.hits, c.predicted + c.gold)};
}

Scores micro_average(std::span<const ClassCounts> classes) {
  ClassCounts sum;
  for (const ClassCounts& c : classes) {
    sum.hits += c.hits;
    sum.predicted += c.predicted;
    sum.gold += c.gold;
  }
  return scores_of(sum);
}

Scores macro_average(std::span<const ClassCounts> classes) {
  Scores sum;
  for (const ClassCounts& c : classes) {
    const Scores scores = scores_of(c);
    sum.precision += scores.precision;
    sum.recall += scores.recall;
    sum.f1 += scores.f1;
  }
  const double n = static_cast<double>(classes.size());
  return {ratio(sum.precision, n), ratio(sum.recall, n), ratio(sum.f1, n)};
}

Scores weighted_average(std::span<const ClassCounts> classes) {
  Scores sum;
  for (const ClassCounts& c : classes) {
    const Scores scores = scores_of(c);
    sum.precision += scores.precision * c.gold;
    sum.recall += scores.recall * c.gold;
    sum.f1 += scores.f1 * c.gold;
  }
  const double n = static_cast<double>(total_support(classes));
  return {ratio(sum.precision, n), ratio(sum.recall, n), ratio(sum.f1, n)};
}

std::vector<ClassCounts> present(std::span<const ClassCounts> classes) {
  std::vector<ClassCounts> kept;
  std::copy_if(classes.begin(), classes.end(), std::back_inserter(kept),
               [](const ClassCounts& c) { return !c.absent(); });
  return kept;
}

double matthews(std::span<const ClassCounts> classes, int64_t n) {
  double hits = 0, gold_gold = 0, predicted_predicted = 0, gold_predicted = 0;
  for (const ClassCounts& c : classes) {
    const double gold = static_cast<double>(c.gold), predicted = static_cast<double>(c.predicted);
    hits += static_cast<double>(c.hits);
    gold_gold += gold * gold;
    predicted_predicted += predicted * predicted;
    gold_predicted += gold * predicted;
  }
  const double square = static_cast<double>(n) * static_cast<double>(n);
  return ratio(hits * n - gold_predicted,
               std::sqrt(square - predicted_predicted) * std::sqrt(square - gold_gold));
}

int64_t shared_labels(const LabelSets& sets) {
  return std::count_if(sets.predicted.begin(), sets.predicted.end(), [&](int32_t label) {
    return std::find(sets.gold.begin(), sets.gold.end(), label) != sets.gold.end();
  });
}

Scores sample_scores(const LabelSets& sets) {
  return scores_of({shared_labels(sets), static_cast<int64_t>(sets.predicted.size()),
                    static_cast<int64_t>(sets.gold.size())});
}

namespace {

constexpr size_t kF1 = 2, kSupport = 3, kPredicted = 4;  // columns

// Of a class, where `average_row` has no number of predictions.
ScoreTable::Row class_row(const std::string& label, const ClassCounts& counts) {
  ScoreTable::Row row = average_row(label, scores_of(counts), counts.gold);
  row.values.push_back(static_cast<double>(counts.predicted));
  return row;
}

std::vector<std::string> never_predicted(const ScoreTable& table, size_t* there) {
  std::vector<std::string> never;
  for (const ScoreTable::Row& row : table.rows) {
    if (row.values[kSupport] == 0) continue;
    ++*there;
    if (row.values[kPredicted] == 0) never.push_back(row.label);
  }
  return never;
}

}  // namespace

ScoreTable::Row average_row(const std::string& label, const Scores& scores, int64_t support) {
  return {label, {scores.precision, scores.recall, scores.f1, static_cast<double>(support)}};
}

ScoreTable class_table(std::span<const std::string> labels, std::span<const ClassCounts> classes,
                       const std::string& micro_name) {
  ScoreTable table{.one = "class",
                   .many = "classes",
                   .columns = {{"precision", "precision", "precision"},
                               {"recall", "recall", "recall"},
                               {"f1", "f1-score", "F1"},
                               {"support", "support", "rows", /*is_count=*/true},
                               {"predicted", "", "", /*is_count=*/true}},
                   .rows = {},
                   .averages = {},
                   .averages_key = "averages",
                   .main = kF1,
                   .size = kSupport};
  for (size_t i = 0; i < classes.size(); ++i)
    table.rows.push_back(class_row(labels[i], classes[i]));
  const int64_t support = total_support(classes);
  table.averages = {average_row(micro_name, micro_average(classes), support),
                    average_row("macro avg", macro_average(classes), support),
                    average_row("weighted avg", weighted_average(classes), support)};
  return table;
}

void add_classes(ScoreTable table, Report& report) {
  size_t there = 0;
  const std::vector<std::string> never = never_predicted(table, &there);
  report.sections.push_back({"per_class", "classes", std::move(table)});
  if (never.empty()) return;
  report.found.push_back({fmt::format("{} of {} classes {} never predicted", never.size(), there,
                                      never.size() == 1 ? "is" : "are"),
                          never,
                          {}});
}

}  // namespace hone::metrics
