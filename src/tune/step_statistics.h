// What the step line adds to a step's own numbers: the means since the last logged step, and
// how far loss and gradient norm lie from those of the recent steps. All of it is saved, so a
// resumed run writes the same lines.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "tune/events.h"

namespace hone {

class StepStatistics {
 public:
  void add(double loss, double norm, const Numbers& numbers = {});
  double mean_loss() const;  // over the steps since `begin_window`
  Numbers mean_numbers() const;
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
  std::map<std::string, double> window_numbers_;
  std::vector<double> losses_, norms_;  // the last kRecent, oldest first
};

}  // namespace hone
