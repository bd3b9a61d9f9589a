// The pre-training head of a masked language model at the masks of a prompt, for the words of
// labels alone.
#pragma once

#include <vector>

#include "tasks/masked_lm_head.h"

namespace hone::prompt {

// A word that stands for a label, as pieces of the vocabulary.
struct Word {
  int64_t label = 0;
  std::vector<int32_t> pieces;
};

// In batches: places of the masks in each sample, [B, n]; what the head reads.
constexpr const char* kMasks = "masks";

class PromptHead : public MaskedLmHead {
 public:
  // REQUIRES: all words have as many pieces, and each label a word.
  PromptHead(const ModelConfig& config, const std::vector<Word>& words, int64_t labels);

  // [B, labels]: the mean over a label's words of the sum of their pieces' logits, each at its own
  // mask. A softmax of them is that of the probabilities of the pieces, multiplied.
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;  // warns: a prompt asks what pre-training has taught

 private:
  at::Tensor ids_;     // [n, words] int64
  at::Tensor shares_;  // [words, labels] fp32: what each word counts of each label
};

}  // namespace hone::prompt
