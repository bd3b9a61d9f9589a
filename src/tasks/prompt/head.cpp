#include "tasks/prompt/head.h"

#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "base/log.h"

namespace hone::prompt {

PromptHead::PromptHead(const ModelConfig& config, const std::vector<Word>& words, int64_t labels)
    : MaskedLmHead(config) {
  const auto count = static_cast<int64_t>(words.size()),
             masks = static_cast<int64_t>(words.front().pieces.size());
  at::Tensor ids = at::zeros({masks, count}, at::kLong), shares = at::zeros({count, labels});
  for (int64_t w = 0; w < count; ++w) {
    for (int64_t m = 0; m < masks; ++m) ids[m][w] = words[w].pieces[m];
    shares[w][words[w].label] = 1;
  }
  ids_ = register_buffer("word_ids", ids);
  shares_ = register_buffer("word_shares", shares / shares.sum(0, /*keepdim=*/true));
}

Outputs PromptHead::forward(Backbone& backbone, const Batch& batch) {
  const Packed& tokens = batch.streams.front();
  const int64_t masks = ids_.size(0);
  const at::Tensor places = batch.targets.at(kMasks).to(at::kLong).view({-1, masks});
  const at::Tensor rows = (tokens.first_rows().unsqueeze(1) + places).flatten();
  const at::Tensor at_masks = states(backbone, batch, rows).view({places.size(0), masks, -1});
  at::Tensor scores;  // [B, words]
  for (int64_t m = 0; m < masks; ++m) {
    const at::Tensor part = logits(backbone, at_masks.select(1, m), ids_[m]);
    scores = m == 0 ? part : scores + part;
  }
  return at::mm(scores, shares_);
}

void PromptHead::initialise(uint64_t seed) {
  log_warn(
      "the checkpoint has no head of masked-language-model pre-training: its layers start from "
      "random values, and the words of labels mean nothing yet. With few labels take a checkpoint "
      "that has one, or train one first (task mlm)");
  MaskedLmHead::initialise(seed);
}

}  // namespace hone::prompt
