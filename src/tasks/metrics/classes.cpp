#include "tasks/metrics/classes.h"

#include <algorithm>
#include <cmath>

namespace hone::metrics {
namespace {

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

int64_t total_support(std::span<const ClassCounts> classes) {
  int64_t total = 0;
  for (const ClassCounts& counts : classes) total += counts.gold;
  return total;
}

}  // namespace

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

ClassRow class_row(const std::string& label, const Scores& scores, int64_t support,
                   int64_t predicted) {
  return {label, scores.precision, scores.recall, scores.f1, support, predicted};
}

void fill_class_rows(std::span<const std::string> labels, std::span<const ClassCounts> classes,
                     const std::string& micro_name, Report& report) {
  for (size_t i = 0; i < classes.size(); ++i)
    report.per_class.push_back(
        class_row(labels[i], scores_of(classes[i]), classes[i].gold, classes[i].predicted));
  const int64_t support = total_support(classes);
  report.averages.push_back(class_row(micro_name, micro_average(classes), support));
  report.averages.push_back(class_row("macro avg", macro_average(classes), support));
  report.averages.push_back(class_row("weighted avg", weighted_average(classes), support));
}

}  // namespace hone::metrics
