#include "tasks/metrics/calibration.h"

#include <algorithm>
#include <cmath>

namespace hone::metrics {

void Calibration::add(double confidence, bool is_right) {
  const auto bin = static_cast<int64_t>(std::ceil(confidence * kReliabilityBins)) - 1;
  Sums& sums = sums_[std::clamp<int64_t>(bin, 0, kReliabilityBins - 1)];
  sums.confidence += confidence;
  sums.right += is_right;
  ++sums.count;
  ++count_;
}

std::vector<Curve::Bin> Calibration::bins() const {
  std::vector<Curve::Bin> result;
  for (size_t i = 0; i < sums_.size(); ++i) {
    const Sums& s = sums_[i];
    const double count = static_cast<double>(s.count), low = static_cast<double>(i);
    if (s.count > 0)
      result.push_back({s.confidence / count, static_cast<double>(s.right) / count, s.count,
                        low / kReliabilityBins, (low + 1) / kReliabilityBins});
  }
  return result;
}

double Calibration::expected_error() const {
  double sum = 0;
  for (const Sums& s : sums_) sum += std::abs(static_cast<double>(s.right) - s.confidence);
  return count_ == 0 ? 0 : sum / static_cast<double>(count_);
}

void add_calibration(const Calibration& calibration, Report& report) {
  report.sections.push_back(
      {"reliability", "calibration",
       Curve{.x = "confidence",
             .y = "accuracy",
             .counted = "predictions",
             .note = "Bars below the dashed line: the model is surer than it is right. Darker bars "
                     "hold more predictions.",
             .bins = calibration.bins()}});
  if (calibration.count() > 0) report.add({less_is_better("ece")}, {calibration.expected_error()});
}

}  // namespace hone::metrics
