// What the step line adds to a step's own numbers: the mean loss since the last logged step, and
// how far loss and gradient norm lie from those of the recent steps. All of it is saved, so a
// resumed run writes the same lines.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

namespace hone {

class StepStatistics {
 public:
  void add(double loss, double norm);
  double mean_loss() const;  // over the steps since `begin_window`
  void begin_window();
  double loss_z() const {
    return loss_z_;
  }  // of the step added last; 0 until there are a few to compare with
  double norm_z() const { return norm_z_; }

  Json state() const;
  void load_state(const Json& state);

 private:
  double window_loss_ = 0, loss_z_ = 0, norm_z_ = 0;
  int64_t window_steps_ = 0;
  std::vector<double> losses_, norms_;  // the last kRecent, oldest first
};

}  // namespace hone
