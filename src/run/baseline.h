// What a linear model of words gives on a run's own data, in seconds: what a network is worth
// beside it.
#pragma once

#include <string>

#include "run/prepare.h"
#include "tasks/report.h"

namespace hone {

struct LinearBaseline {
  std::string split;     // what was scored: the run's first test data, else its validation data
  Report report;         // the task's own
  int64_t features = 0;  // tokens and pairs of neighbours
  double seconds = 0;

  Json json() const;
  std::string text() const;
};

// TF-IDF of the model's own tokens and of neighbours, and a logistic regression on them (of several
// labels one for each, of numbers a linear one) as scikit-learn's with C = 1: the sum of the task's
// loss over the training rows plus half the squared weights, the bias free, by L-BFGS. Texts are
// those that the network sees, cut as for it; augmented copies are left out. Error(kUsage) for a
// task whose answers are not made of outputs of one row, and where there is nothing to score on.
LinearBaseline linear_baseline(const RunConfig& config, const Prepared& prepared,
                               const RunData& data);

}  // namespace hone
