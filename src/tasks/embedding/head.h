// The head of sentence embeddings: a vector for each text of a sample, from all texts of a batch in
// one pass. It has no weights of its own.
#pragma once

#include "tasks/embedding/options.h"
#include "tasks/network.h"

namespace hone::embedding {

// x [R, H] with rows of length 1; a row of no length stays zero, and gets no gradient.
at::Tensor unit(const at::Tensor& x);

// Error(kUsage) for the first token of a causal model, which has seen no other.
void refuse_blind_pooling(Pooling pooling, const ModelConfig& config);

// A vector for each of `texts`, [texts, H] fp32. REQUIRES: `pooling` is not kAuto.
at::Tensor pooled(Backbone& backbone, const Packed& texts, Pooling pooling);

class EmbeddingHead : public Head {
 public:
  // REQUIRES: not kAuto.
  EmbeddingHead(Pooling pooling, bool is_unit) : pooling_(pooling), is_unit_(is_unit) {}

  // [S, K * H] fp32: of each sample its K streams, one after the other.
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t) override {}  // it has no weights

 private:
  Pooling pooling_;
  bool is_unit_;
};

}  // namespace hone::embedding
