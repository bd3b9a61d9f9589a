// The loss of a model that predicts the next token, as tasks that write have it.
#pragma once

#include "tasks/batch.h"
#include "tasks/causal_lm_head.h"
#include "tasks/task.h"

namespace hone {

// The target column of samples: for each token of the last stream which one comes next, where that
// has a loss.
constexpr const char* kNextToken = "next_token";

// The rows that have a target, and their targets.
struct NextTokens {
  at::Tensor rows, ids;  // [R] int64
  int64_t count = 0;     // of rows with a target

  explicit NextTokens(const Batch& batch);
};

// Of all rows' logits: for small vocabularies.
Loss next_token_loss(const Outputs& logits, const Batch& batch, const LossOptions& options);
// Training takes no logits but those of rows with a target, some at a time. REQUIRES: the network's
// head is a CausalLmHead.
Loss next_token_forward_loss(Network& network, const Batch& batch, const LossOptions& options);
// The loss of each token [N, 1], 0 where it has none, and their sum; likewise.
std::pair<Outputs, Loss> assess_next_tokens(Network& network, const Batch& batch);

}  // namespace hone
