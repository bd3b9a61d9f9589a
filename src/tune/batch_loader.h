// The micro-batches of the steps to come, collated by one worker thread while the loop computes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "data/sample_store.h"
#include "tasks/task.h"
#include "tune/timeline.h"

namespace hone {

struct MicroBatch {
  Batch batch;
  std::vector<int64_t> indices;  // samples of the split, in the batch's order
  int64_t tokens = 0;
};

// All micro-batches of a step as one batch in parts, for a loss over the whole step.
MicroBatch make_whole_step(const SampleStore& samples,
                           const std::vector<std::vector<int64_t>>& micro_batches, uint64_t seed,
                           int64_t steps_done);

// The micro-batches of a step of several tasks, each with the scale of its loss by which the step's
// division by all targets gives the sum of the tasks' mean losses, each times its weight.
std::vector<MicroBatch> make_weighed_step(const SampleStore& samples,
                                          const std::vector<std::vector<int64_t>>& micro_batches,
                                          uint64_t seed, int64_t steps_done,
                                          const std::vector<TaskPart>& parts);

// Samples `indices` as the micro-batch that the step after `steps_done` ones sees: dropout is
// seeded by (seed, step).
MicroBatch make_micro_batch(const SampleStore& samples, const std::vector<int64_t>& indices,
                            uint64_t seed, int64_t steps_done);

class BatchLoader {
 public:
  using Prepare = std::function<Batch(Batch)>;

  // Begins with the step that follows `steps_done` ones. `samples` and `task` must outlive this.
  // Where the loss is over a whole step, each step is one batch in parts. `prepare`, where it is
  // there, is what the worker still does to each batch.
  BatchLoader(const SampleStore& samples, Timeline timeline, uint64_t seed, int64_t steps_done,
              const Task& task, Prepare prepare = nullptr);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next micro-batch of the step in progress; nothing after its last one, and the call after
  // that begins the next step. After the last step there is nothing, however often it is asked.
  // Throws what the worker met.
  std::optional<MicroBatch> next();

 private:
  void work();
  bool push_step(int64_t step);
  bool push(std::optional<MicroBatch> item);  // false: asked to stop

  const SampleStore& samples_;
  Timeline timeline_;
  uint64_t seed_;
  int64_t steps_done_;
  const Task& task_;
  Prepare prepare_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::optional<MicroBatch>> ready_;  // an empty one ends a step
  std::exception_ptr failure_;
  bool stopping_ = false, finished_ = false;
  std::thread worker_;  // last: starts when all the rest is there
};

}  // namespace hone
