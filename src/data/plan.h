// Which samples form each optimizer step and each micro-batch: a pure function of (seed, epoch, lengths, options).
// Resuming at step k asks for step k again; nothing is replayed.
#pragma once

#include <cstdint>
#include <vector>

namespace hone {

struct PlanOptions {
  int64_t batch_size = 32;        // samples in a micro-batch; ignored where max_tokens > 0
  int64_t max_tokens = 0;         // token budget of a micro-batch; 0: count samples
  int64_t accumulation = 1;       // micro-batches in one optimizer step
  bool group_by_length = true;    // samples of like length share a micro-batch (balances threads; changes no gradient)
  uint64_t seed = 42;
};

// steps[s][m] = sample indices of micro-batch m of step s.
using EpochPlan = std::vector<std::vector<std::vector<int64_t>>>;

// Grouping by length moves samples between the micro-batches of one step only: the samples that form a step are
// the shuffle's, so its gradient is what the batch size says whatever the grouping.
EpochPlan plan_epoch(const std::vector<int32_t>& lengths, const PlanOptions& options, int64_t epoch);

// Micro-batches for evaluation: longest first, by token budget; the order of results is restored by index.
std::vector<std::vector<int64_t>> plan_evaluation(const std::vector<int32_t>& lengths, int64_t max_tokens);

}  // namespace hone
