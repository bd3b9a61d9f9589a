// Which samples form each optimizer step and each micro-batch: a pure function of (seed, epoch,
// lengths, options). Resuming at step k asks for step k again; nothing is replayed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hone {

struct PlanOptions {
  int64_t batch_size = 32;   // samples in a micro-batch; ignored where max_tokens > 0
  int64_t max_tokens = 0;    // token budget of a micro-batch; 0: count samples
  int64_t accumulation = 1;  // micro-batches in one optimizer step
  bool group_by_length =
      true;  // samples of like length share a micro-batch (balances threads; changes no gradient)
  uint64_t seed = 42;
  // Sample::task of each sample, where they are of several tasks: a micro-batch then holds samples
  // of one. REQUIRES: outlives the plan.
  const std::vector<int32_t>* tasks = nullptr;
  // An epoch has as many samples as there are; of each task in proportion to its own number to the
  // power of 1 / temperature. 1: each sample once; infinity: of all tasks equally many.
  double temperature = 1;
  // The same for samples of one task by their Sample::stratum, each task having one temperature or
  // the other. A micro-batch holds samples of any.
  const std::vector<int32_t>* strata = nullptr;
  double strata_temperature = 1;
  // The samples of a step stand in pairs of the shuffled order, which no micro-batch parts: one
  // holds two at least, and an odd one out is the last of all. A pair is the same whatever the
  // split.
  bool pairs = false;
};

// The steps of one epoch. It keeps the shuffled order and forms a step when asked for it, so that a
// sample costs 8 bytes, and a step 8 more.
class EpochPlan {
 public:
  EpochPlan() = default;  // no steps
  // REQUIRES: lengths outlives this.
  EpochPlan(const std::vector<int32_t>& lengths, PlanOptions options, int64_t epoch);

  int64_t size() const { return static_cast<int64_t>(begins_.size()); }
  // step(s)[m] = sample indices of micro-batch m. Grouping by task and length moves samples between
  // the micro-batches of one step only: the samples that form a step are the shuffle's, so its
  // gradient is what the batch size says whatever the grouping.
  std::vector<std::vector<int64_t>> step(int64_t index) const;

 private:
  std::vector<std::vector<int64_t>> micro_batches(std::span<const int64_t> samples) const;
  std::vector<std::vector<int64_t>> paired_batches(std::span<const int64_t> samples) const;

  const std::vector<int32_t>* lengths_ = nullptr;
  PlanOptions options_;
  std::vector<int64_t> order_;
  std::vector<int64_t> begins_;  // of each step in order_
};

// Micro-batches for evaluation: longest first, by token budget; the order of results is restored by
// index.
std::vector<std::vector<int64_t>> plan_evaluation(const std::vector<int32_t>& lengths,
                                                  int64_t max_tokens);

}  // namespace hone
