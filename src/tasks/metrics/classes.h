// Precision, recall and F1 from counts per class, with the averages of scikit-learn's
// classification_report and of seqeval (zero_division = 0). Pure functions of plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tasks/report.h"

namespace hone::metrics {

// Of one class: how often it was rightly predicted, predicted, and there.
struct ClassCounts {
  int64_t hits = 0, predicted = 0, gold = 0;
  bool absent() const { return predicted == 0 && gold == 0; }
};

struct Scores {
  double precision = 0, recall = 0, f1 = 0;
};

Scores scores_of(const ClassCounts& counts);
Scores micro_average(std::span<const ClassCounts> classes);
Scores macro_average(
    std::span<const ClassCounts>
        classes);  // over the classes given: scikit-learn leaves out absent ones, see present()
Scores weighted_average(std::span<const ClassCounts> classes);  // by support

std::vector<ClassCounts> present(std::span<const ClassCounts> classes);

// Matthews' correlation of a single-label problem over n records (Gorodkin 2004), 0 where it is
// undefined.
double matthews(std::span<const ClassCounts> classes, int64_t n);

// One record with several labels (or none): classes in any order, none twice.
struct LabelSets {
  std::vector<int32_t> gold, predicted;
};
int64_t shared_labels(const LabelSets& sets);
Scores sample_scores(const LabelSets& sets);  // what "samples avg" averages

int64_t total_support(std::span<const ClassCounts> classes);

ScoreTable::Row average_row(const std::string& label, const Scores& scores, int64_t support);
// One row for each class, and below them the micro, macro and weighted averages.
ScoreTable class_table(std::span<const std::string> labels, std::span<const ClassCounts> classes,
                       const std::string& micro_name);
// The section "Classes"; and a finding, where classes that are there are never predicted.
void add_classes(ScoreTable table, Report& report);

}  // namespace hone::metrics
