// Passes over small batches that a GPU is told of once: the launches of a pass are recorded as a
// graph, and a later batch of the same sizes takes one launch (CUDA graphs). What differs from
// batch to batch (ids, targets, ends of sequences, dropout's seed) the kernels read from memory
// that is written before each replay.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tasks/task.h"
#include "tune/recording.h"
#include "tune/regularise/regulariser.h"

namespace hone {

class Replays {
 public:
  // At most so many sizes are recorded, each with the memory of its activations' largest.
  static constexpr size_t kMost = 32;

  struct Inputs {
    Pass pass;  // forward and backward that leave their loss on the device
    const Task& task;
    const Network& network;
    const std::vector<Parameter>& parameters;
    MakeRecording make;
    std::function<void(const std::string&)> warn;
  };

  explicit Replays(Inputs inputs) : of_(std::move(inputs)) {}

  // Forward and backward of a batch on the CPU; gradients are added to those that are there. One
  // that in_bucket has prepared and `staged` has laid out is replayed; any other, and each one
  // after a pass turned out not to be recordable (which is told once), is run as it is.
  PassResult run(const Batch& batch);
  // Recorded passes add to gradients where these were: they are never taken away.
  void zero_gradients() const;

 private:
  struct Recorded {
    Batch there;      // what the recorded launches read
    at::Tensor loss;  // where they leave their sum
    std::unique_ptr<Recording> recording;
  };

  PassResult run_plainly(const Batch& batch) const;
  bool record(Recorded& one, const Batch& batch);
  void replay(const Recorded& one, const Batch& batch) const;
  void begin_drawing(const Batch& batch) const;
  void give_up(const std::string& reason);

  Inputs of_;
  std::map<std::vector<int64_t>, Recorded> recorded_;  // by sizes
  bool is_on_ = true, has_told_of_most_ = false;
};

// Why passes of these cannot be recorded, as a sentence's end; "": nothing is known against it.
std::string cannot_replay(const Task& task, bool has_regularisers, bool steps_there,
                          bool recomputes);

}  // namespace hone
