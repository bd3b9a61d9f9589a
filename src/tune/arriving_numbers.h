// Numbers of steps on their way from a GPU: each step's are copied when it has been asked for, and
// read when they have come, so that the device has always work ahead of it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <deque>
#include <optional>

namespace hone {

class ArrivingNumbers {
 public:
  struct Step {
    double loss = 0, norm = 0;  // sums over the step's targets, and the norm of such gradients
    bool is_failed = false;     // neither this step nor a later one has moved anything
  };

  // A copy of StepNumbers as they will be when the device has come so far.
  void send(const at::Tensor& numbers);
  // The oldest that have not been received; nothing where they have not come, unless it waits.
  // REQUIRES: size() > 0.
  std::optional<Step> receive(bool waits);
  size_t size() const { return sent_.size(); }

 private:
  struct Sent {
    at::Tensor numbers;               // on the CPU
    std::optional<c10::Event> there;  // when they have come; of a GPU alone
  };
  std::deque<Sent> sent_;
};

}  // namespace hone
