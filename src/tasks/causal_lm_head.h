// The head of a model that predicts the next token: the product with the vocabulary. A task asks it
// for the rows it needs alone, since a row of it is as wide as the vocabulary. Of an
// encoder-decoder the next token is the target's.
#pragma once

#include "models/layers/key_value_cache.h"
#include "models/layers/linear.h"
#include "tasks/network.h"

namespace hone {

// It computes in the backbone's precision: the product is a good part of a small decoder's work.
class CausalLmHead : public Head {
 public:
  // Error(kUsage) where the family has no such head.
  explicit CausalLmHead(const ModelConfig& config, size_t streams = 1);

  // Of all rows [N, V] fp32: for small vocabularies.
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;
  bool is_of_base() const override { return true; }
  size_t streams() const override { return streams_; }
  std::vector<std::string> pretrained() const override;  // a bias, which is not trained
  void tie(Backbone& backbone) override;
  void set_precision(Precision precision) override;
  int64_t loss_bytes(Precision precision) const override;

  // What the product with the vocabulary reads, of the batch's rows `rows` [R] int64 (undefined:
  // all): [R, H] in the type of the backbone's products. The last block is computed for these rows
  // alone. With a cache the batch's tokens are the next ones of its sequences; `sources`: see Want.
  at::Tensor states(Backbone& backbone, const Batch& batch, const at::Tensor& rows,
                    KeyValueCache* cache = nullptr, SourceMemory* sources = nullptr);
  // Logits of these states [R, H] for all tokens, soft-capped where the family does so: [R, V]
  // fp32.
  at::Tensor logits(const Backbone& backbone, const at::Tensor& states) const;
  // Cross-entropy of the states with the tokens `targets` [R] int64, summed; -100: none, which
  // costs nothing. Logits are never whole: see kernels::linear_cross_entropy_sum. Of int8 the
  // product is that of the fp32 weights.
  at::Tensor loss(const Backbone& backbone, const at::Tensor& states, const at::Tensor& targets,
                  double label_smoothing = 0) const;

 private:
  CausalLmStyle style_;
  double range_;
  size_t streams_;
  at::Tensor bias_;      // [1, V], or undefined
  Linear out_{nullptr};  // a layer of its own, or one that multiplies with the table of words
};

}  // namespace hone
