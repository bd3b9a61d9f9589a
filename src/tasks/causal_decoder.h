// A decoder-only model as models/generation runs it: CausalLmHead with the keys and values of the
// tokens it has seen.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/generation/generate.h"
#include "models/layers/key_value_cache.h"
#include "models/layers/packed_weights.h"
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
  void select(std::span<const int64_t> sequences) override;
  int64_t max_positions() const override;
  // Of a sequence the first `length` tokens alone stay.
  void cut(int64_t sequence, int64_t length);
  // A cache begins with a prefix or virtual tokens of the sequences that it begins with.
  bool may_join() const override { return network_.backbone().positions_taken() == 0; }

 private:
  std::vector<NewTokens> with_outgrown(const std::vector<NewTokens>& sequences);

  Network& network_;
  CausalLmHead& head_;
  PackedWeights packed_;
  KeyValueCache cache_;
  // Where sequences that outgrow so many tokens are computed again from the beginning: the tokens
  // of each; 0: nowhere.
  int64_t border_ = 0;
  std::vector<std::vector<int32_t>> ids_;
};

// One sequence after another, each of which may begin as the one before it did: a conversation.
// What both begin with is not computed again. For answers without beams.
class TurnDecoder : public StepDecoder {
 public:
  // Whether a network's keys and values stand for every sequence that begins with their tokens.
  static bool may_keep(const Network& network);

  // Error(kUsage) as CausalDecoder. The network outlives this.
  explicit TurnDecoder(Network& network) : network_(network) {}

  at::Tensor next(const std::vector<NewTokens>& sequences) override;
  void select(std::span<const int64_t> sequences) override;  // none: the next tokens are a prompt
  int64_t max_positions() const override;

 private:
  std::vector<int32_t> without_known(const std::vector<int32_t>& prompt);

  Network& network_;
  std::unique_ptr<CausalDecoder> decoder_;  // null: it knows nothing
  std::vector<int32_t> known_;              // tokens whose keys and values it has
  bool begins_ = true;
};

}  // namespace hone
