// How far a confidence can be believed: reliability curve and expected calibration error (Guo et
// al. 2017, "On calibration of modern neural networks").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tasks/report.h"

namespace hone::metrics {

constexpr int64_t kReliabilityBins = 15;  // Guo et al.'s choice

// Collects (confidence in [0, 1], was it right) in bins of equal width, (0, 1/15], (1/15, 2/15], …;
// 0 falls in the first.
class Calibration {
 public:
  void add(double confidence, bool is_right);
  // x: mean confidence, y: share that was right. Those that hold something, in order.
  std::vector<Curve::Bin> bins() const;
  double expected_error()
      const;  // mean |accuracy - confidence| over bins, by their counts; 0 where empty
  int64_t count() const { return count_; }

 private:
  struct Sums {
    double confidence = 0;
    int64_t right = 0, count = 0;
  };
  std::vector<Sums> sums_ = std::vector<Sums>(kReliabilityBins);
  int64_t count_ = 0;
};

// The section "Calibration" and the metric "ece", where confidences are known.
void add_calibration(const Calibration& calibration, Report& report);

}  // namespace hone::metrics
