// An encoder-decoder as models/generation runs it: the encoder once for each source, the decoder
// step by step with the keys and values of the tokens it has seen. Beams share their source.
#pragma once

#include <functional>
#include <vector>

#include "models/generation/generate.h"
#include "models/layers/key_value_cache.h"
#include "models/layers/packed_weights.h"
#include "models/layers/source.h"
#include "tasks/causal_lm_head.h"
#include "tasks/network.h"

namespace hone {

// What the encoder reads of these prompts, end to end; none: a stream without a sequence.
using SourceStream = std::function<Packed(const std::vector<size_t>& prompts)>;

class SourceDecoder : public StepDecoder {
 public:
  // Sources are the prompts' own. Error(kUsage) where the network writes no target. Network and
  // prompts outlive this.
  SourceDecoder(Network& network, const std::vector<Prompt>& prompts);
  // Sources that need not be tokens: Packed::features are a source of Whisper.
  SourceDecoder(Network& network, SourceStream source);

  // REQUIRES, as models/generation does it: sequences of one prompt are neighbours.
  at::Tensor next(const std::vector<NewTokens>& sequences) override;
  void select(std::span<const int64_t> sequences) override;
  int64_t max_positions() const override { return network_.backbone().config().max_positions; }

 private:
  // Counts the readers of each source in `sources_`; returns the prompts whose sources are new.
  std::vector<size_t> count_readers(const std::vector<NewTokens>& sequences);

  Network& network_;
  SourceStream source_;
  CausalLmHead& head_;
  PackedWeights packed_;
  KeyValueCache cache_;
  SourceMemory sources_;
  std::vector<size_t> prompts_of_sequences_, prompts_of_sources_;
};

}  // namespace hone
