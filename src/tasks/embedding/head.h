// The head of sentence embeddings: a vector for each text of a sample, from all texts of a batch in
// one pass. It has weights where a further layer stands behind the pooling.
#pragma once

#include <optional>

#include "models/layers/linear.h"
#include "tasks/embedding/options.h"
#include "tasks/embedding/sentence_folder.h"
#include "tasks/network.h"

namespace hone::embedding {

// x [R, H] with rows of length 1; a row of no length stays zero, and gets no gradient.
at::Tensor unit(const at::Tensor& x);

// Error(kUsage) for the first token of a causal model, which has seen no other.
void refuse_blind_pooling(Pooling pooling, const ModelConfig& config);

// A vector for each of `texts`, [texts, H] fp32. REQUIRES: `pooling` is not kAuto.
at::Tensor pooled(Backbone& backbone, const Packed& texts, Pooling pooling);

constexpr const char* kDenseLayer = "dense.linear";  // its name in a checkpoint

class EmbeddingHead : public Head {
 public:
  // REQUIRES: not kAuto.
  EmbeddingHead(Pooling pooling, bool is_unit) : pooling_(pooling), is_unit_(is_unit) {}
  // Behind the pooling a layer that gives `width` numbers; `begun`: what a folder has of it, or
  // nothing. Error(kUsage) where that is of another width.
  EmbeddingHead(Pooling pooling, bool is_unit, const ModelConfig& config, const Options& options,
                const std::optional<Dense>& begun);

  // [S, K * H] fp32: of each sample its K streams, one after the other.
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;
  void rename(StateDict& checkpoint) const override;  // a layer of a folder of its own

 private:
  Pooling pooling_;
  bool is_unit_, is_tanh_ = false;
  double range_ = 0;
  Linear dense_{nullptr};
  std::optional<Dense> begun_;
};

}  // namespace hone::embedding
