// The probability from which on labels are best given.
#pragma once

#include <cstdint>
#include <map>

#include "tasks/report.h"

namespace hone::classify {

// Collects probabilities and whether the label was there; memory grows with different probabilities
// only, and results have six decimals.
class ThresholdSearch {
 public:
  void add(double p, bool is_there);
  // The best micro F1 over all thresholds above 0, and one that gives it: midway between the
  // probabilities that it parts. Nothing where no label was there.
  void add_to(Report& report) const;

 private:
  struct Counts {
    int64_t there = 0, all = 0;
  };
  std::map<double, Counts> by_probability_;
  int64_t there_ = 0;
};

}  // namespace hone::classify
