#include "tune/batch_loader.h"

#include "base/random.h"

namespace hone {

constexpr size_t kReadyAhead =
    4;  // items; collating is far quicker than computing, so few are enough

MicroBatch make_micro_batch(const SampleStore& samples, const std::vector<int64_t>& indices,
                            uint64_t seed, int64_t steps_done) {
  MicroBatch micro;
  micro.indices = indices;
  std::vector<Sample> chosen;
  chosen.reserve(indices.size());
  for (int64_t index : indices) {
    chosen.push_back(samples.get(index));
    micro.tokens += chosen.back().size();
  }
  micro.batch = collate(chosen, indices, mix(seed, static_cast<uint64_t>(steps_done)));
  return micro;
}

MicroBatch make_whole_step(const SampleStore& samples,
                           const std::vector<std::vector<int64_t>>& micro_batches, uint64_t seed,
                           int64_t steps_done) {
  std::vector<int64_t> indices, parts;
  for (const std::vector<int64_t>& micro : micro_batches) {
    indices.insert(indices.end(), micro.begin(), micro.end());
    parts.push_back(static_cast<int64_t>(micro.size()));
  }
  MicroBatch step = make_micro_batch(samples, indices, seed, steps_done);
  step.batch.parts = std::move(parts);
  return step;
}

std::vector<MicroBatch> make_weighed_step(const SampleStore& samples,
                                          const std::vector<std::vector<int64_t>>& micro_batches,
                                          uint64_t seed, int64_t steps_done,
                                          const std::vector<TaskPart>& parts) {
  std::vector<MicroBatch> step;
  std::vector<double> targets(parts.size());
  double all = 0;
  for (const std::vector<int64_t>& indices : micro_batches) {
    step.push_back(make_micro_batch(samples, indices, seed, steps_done));
    const auto task = static_cast<size_t>(step.back().batch.task);
    const double own = parts.at(task).task->targets_in(step.back().batch);
    targets[task] += own;
    all += own;
  }
  for (MicroBatch& micro : step) {
    const auto task = static_cast<size_t>(micro.batch.task);
    micro.batch.loss_scale = targets[task] > 0 ? parts[task].weight * all / targets[task] : 0;
  }
  return step;
}

BatchLoader::BatchLoader(const SampleStore& samples, Timeline timeline, uint64_t seed,
                         int64_t steps_done, const Task& task, Prepare prepare)
    : samples_(samples),
      timeline_(std::move(timeline)),
      seed_(seed),
      steps_done_(steps_done),
      task_(task),
      prepare_(std::move(prepare)),
      worker_([this] { work(); }) {}

BatchLoader::~BatchLoader() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

std::optional<MicroBatch> BatchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_ || finished_; });
  if (ready_.empty() && failure_) std::rethrow_exception(failure_);
  if (ready_.empty()) return std::nullopt;
  std::optional<MicroBatch> item = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return item;
}

bool BatchLoader::push(std::optional<MicroBatch> item) {
  if (item && prepare_) item->batch = prepare_(std::move(item->batch));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_.size() < kReadyAhead || stopping_; });
  if (stopping_) return false;
  ready_.push_back(std::move(item));
  changed_.notify_all();
  return true;
}

bool BatchLoader::push_step(int64_t step) {
  const std::vector<std::vector<int64_t>> micro_batches = timeline_.micro_batches(step);
  if (task_.has_step_loss())
    return push(make_whole_step(samples_, micro_batches, seed_, step)) && push(std::nullopt);
  if (!task_.parts().empty()) {
    for (MicroBatch& micro :
         make_weighed_step(samples_, micro_batches, seed_, step, task_.parts())) {
      if (!push(std::move(micro))) return false;
    }
    return push(std::nullopt);
  }
  for (const auto& indices : micro_batches) {
    if (!push(make_micro_batch(samples_, indices, seed_, step))) return false;
  }
  return push(std::nullopt);
}

void BatchLoader::work() try {
  for (int64_t step = steps_done_; step < timeline_.steps(); ++step) {
    if (!push_step(step)) return;
  }
  std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
} catch (...) {
  std::lock_guard lock(mutex_);
  failure_ = std::current_exception();
  changed_.notify_all();
}

}  // namespace hone
