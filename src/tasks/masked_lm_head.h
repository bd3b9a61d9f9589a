// The head of masked-language-model pre-training: what stands at a place, of the whole vocabulary.
// A task asks it for the places it needs alone, since a row of it is as wide as the vocabulary.
#pragma once

#include "models/layers/linear.h"
#include "models/layers/norm.h"
#include "tasks/network.h"

namespace hone {

class MaskedLmHead : public Head {
 public:
  // Error(kUsage) where the family has no such head, Error(kModel) where config.json says that its
  // product has weights of its own ("tie_word_embeddings": false).
  explicit MaskedLmHead(const ModelConfig& config);

  // Of all rows [N, V] fp32: for small vocabularies.
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;
  int64_t loss_bytes(Precision precision) const override;

  // What the product with the vocabulary reads, of the batch's rows `rows` [R] int64: [R, width]
  // fp32. The last block is computed for these rows alone.
  at::Tensor states(Backbone& backbone, const Batch& batch, const at::Tensor& rows);
  // Logits of these states [R, width] for all tokens [R, V], or for those of `ids` [K] int64 alone
  // [R, K]: words that stand for labels.
  at::Tensor logits(const Backbone& backbone, const at::Tensor& states) const;
  at::Tensor logits(const Backbone& backbone, const at::Tensor& states,
                    const at::Tensor& ids) const;
  // Cross-entropy of the states with the tokens `targets` [R] int64, summed; -100: none. Logits are
  // never whole: see kernels::linear_cross_entropy_sum.
  at::Tensor loss(const Backbone& backbone, const at::Tensor& states, const at::Tensor& targets,
                  double label_smoothing = 0) const;

 private:
  kernels::Activation activation_;
  double range_;
  int64_t words_;  // in the vocabulary
  Linear dense_{nullptr};
  LayerNorm norm_{nullptr};
  at::Tensor bias_;  // [V] fp32, or undefined
};

}  // namespace hone
