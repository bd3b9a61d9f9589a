// The network of DeBERTa and its successors: BERT's, but that distances between tokens take part in
// the scores of each layer's attention, and that a convolution may stand beside the first layer.
#pragma once

#include <memory>
#include <vector>

#include "models/encoder_backbone.h"
#include "models/layers/convolution.h"
#include "models/layers/disentangled_attention.h"

namespace hone {

class DebertaPlan : public EncoderPlan {
 public:
  DisentangledAttentionOptions attention;
  RelativePositionsOptions positions;  // no buckets: no such table
  ConvolutionOptions convolution;
  int64_t longest = 0;  // tokens of a sequence, also where there is no table of positions

  std::shared_ptr<Backbone> build(const ModelConfig& config) const override;
  double weights() const override;
  ModelConfig described(const Json& raw) const;
};

class DebertaBackbone : public Backbone {
 public:
  DebertaBackbone(const ModelConfig& config, const DebertaPlan& plan);

  at::Tensor forward(std::span<const Packed> streams, const Want& want = {}) override;
  bool drops_layers() const override { return true; }
  int64_t embedding_width() const override { return embeddings_->width(); }
  const at::Tensor& word_table() const override { return embeddings_->words(); }
  bool takes_prompt() const override { return true; }

 private:
  at::Tensor forward_on(const Rows& rows, const Want& want);
  // The first layer with the convolution beside it, if there is one; else the layer alone.
  at::Tensor run_layer(size_t layer, const at::Tensor& x, const Rows& rows);
  std::vector<at::Tensor> parameters_of(size_t layer) const;

  TokenEmbeddings embeddings_{nullptr};
  RelativePositions positions_{nullptr};
  std::vector<EncoderBlock> layers_;
  Convolution convolution_{nullptr};
};

}  // namespace hone
