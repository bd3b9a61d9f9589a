// Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599): one number that logits
// are divided by, so that a confidence is what share of such answers is right. No answer changes.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/report.h"

namespace hone::classify {

// Collects the probabilities of all classes of each row, whose logarithms are logits, and its
// class.
class TemperatureSearch {
 public:
  void add(const std::vector<double>& p, size_t gold);
  // The temperature with the lowest mean negative log-likelihood, that and the expected calibration
  // error with it and without. Nothing of no rows.
  void add_to(Report& report) const;

  double mean_loss(double temperature) const;
  double calibration_error(double temperature) const;
  // Between 0.05 and 20: the loss has one lowest place in 1 / temperature.
  double best() const;

 private:
  struct Row {
    std::vector<double> logits;
    size_t gold;
  };
  std::vector<Row> rows_;
};

}  // namespace hone::classify
