// A decoder-only model as models/generation runs it: CausalLmHead with the keys and values of the
// tokens it has seen.
#pragma once

#include <vector>

#include "models/generation/generate.h"
#include "models/layers/key_value_cache.h"
#include "tasks/causal_lm_head.h"
#include "tasks/network.h"

namespace hone {

// Error(kUsage) where the network's head is not a CausalLmHead.
CausalLmHead& causal_head_of(Network& network);
// The new tokens of all sequences end to end, each where the cached ones of its sequence end.
Packed pack_new(const std::vector<NewTokens>& sequences, const KeyValueCache& cache);

class CausalDecoder : public StepDecoder {
 public:
  // Error(kUsage) where the network's head is not a CausalLmHead. The network outlives this.
  explicit CausalDecoder(Network& network);

  at::Tensor next(const std::vector<NewTokens>& sequences) override;
  void select(std::span<const int64_t> sequences) override { cache_.select(sequences); }
  int64_t max_positions() const override;
  // A cache begins with a prefix or virtual tokens of the sequences that it begins with.
  bool may_join() const override { return network_.backbone().positions_taken() == 0; }

 private:
  Network& network_;
  CausalLmHead& head_;
  KeyValueCache cache_;
};

}  // namespace hone
