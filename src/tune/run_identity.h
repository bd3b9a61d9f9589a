// What a run is made of: kept in each of its checkpoints, and compared where it goes on.
//
// A change of what the run was begun with (task, rows, base weights), or of what forms its steps,
// is refused; a change of anything else is the user's right, but is told: then the result is not
// the uninterrupted run's.
#pragma once

#include <functional>
#include <string>

#include "base/json.h"
#include "tune/trainer.h"

namespace hone {

// What was chosen for the machine that the run is on.
struct Machine {
  int64_t threads = 0;
  std::string device, precision;
};

class RunIdentity {
 public:
  // Reads the weights, which must be those that the run starts from. `metric` chooses the best.
  RunIdentity(const TrainerInputs& inputs, const TrainOptions& options, std::string metric,
              Machine machine);

  Json json() const;
  // `saved`: a checkpoint's state, which has the values of json(). Error(kUsage) at `where` for a
  // change that is refused.
  void compare_with(const Json& saved, const Where& where,
                    const std::function<void(const std::string&)>& warn) const;

 private:
  Json begun_with() const;
  Json plan() const;
  std::string in_full(const std::string& metric) const;  // the main metric by its name

  const TrainerInputs& inputs_;
  const TrainOptions& options_;
  std::string metric_;
  Machine machine_;
  std::string base_model_;  // a fingerprint of the weights
};

}  // namespace hone
