// How far the trials of a sweep have come: what its folder keeps, so that a sweep that was killed
// goes on where it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace hone {

// An evaluation of a trial, by the number that chooses its best model.
struct TrialPoint {
  int64_t step = 0;
  double epoch = 0;
  double score = 0;  // NaN: no number
};

// Invariant: points of a trial are in the order of their steps, each step once.
class SweepState {
 public:
  // `identity`: of what is tried; see `load`.
  SweepState(std::string folder, std::string identity, size_t trials);

  // What `folder` holds of this sweep; nothing is not an error. Error(kUsage) for a file that does
  // not have its checksum, and for one of another sweep.
  void load();
  void add(size_t trial, const TrialPoint& point, const std::string& metric,
           bool greater_is_better);  // and writes the file, whole or not at all

  const std::vector<TrialPoint>& points(size_t trial) const { return points_[trial]; }
  const std::string& metric() const { return metric_; }
  bool is_better(double a, double b) const { return greater_is_better_ ? a > b : a < b; }
  bool greater_is_better() const { return greater_is_better_; }

  // The best of the first `count` points of a trial; nothing where none is a number.
  std::optional<TrialPoint> best(size_t trial, size_t count) const;

 private:
  Json json() const;
  void take(const Json& state);

  std::string path_, identity_, metric_;
  bool greater_is_better_ = true;
  std::vector<std::vector<TrialPoint>> points_;  // by trial
};

}  // namespace hone
