// One side of a network: embeddings, perhaps a projection, a stack of blocks, perhaps a final norm.
// An encoder is one; an encoder-decoder has two.
#pragma once

#include <functional>
#include <vector>

#include "models/backbone.h"
#include "models/layers/distance_bias.h"
#include "models/layers/embedding.h"
#include "models/layers/encoder.h"

namespace hone {

class EncoderPlan;

class BlockStack {
 public:
  // Its modules are registered in `root`, the network, under the plan's names.
  BlockStack(torch::nn::Module& root, const EncoderPlan& plan);

  // Runs a block as Backbone::through does.
  using Run = std::function<at::Tensor(const at::Tensor&)>;
  using Runner = std::function<at::Tensor(const std::vector<at::Tensor>& parameters, const Run& run,
                                          const at::Tensor& x)>;
  // Hidden states [N, hidden] of `rows`, all of a stream; of `want` its rows and states.
  at::Tensor forward(const Rows& rows, const Want& want, Precision precision, const Runner& runner);

  const TokenEmbeddings& embeddings() const { return embeddings_; }

 private:
  void make_embeddings(torch::nn::Module& root, const EncoderPlan& plan);
  void make_layers(torch::nn::Module& root, const EncoderPlan& plan);
  std::vector<at::Tensor> parameters_of(size_t layer) const;  // what it reads
  at::Tensor embed(const Rows& rows, Precision precision);    // what the first block reads

  TokenEmbeddings embeddings_{nullptr};
  Linear projection_{nullptr};
  std::vector<EncoderBlock> layers_;  // the same one where layers share a block
  DistanceBias distance_bias_{nullptr};
  LayerNorm final_norm_{nullptr};
  double final_dropout_;
};

}  // namespace hone
