// One side of a network: embeddings, perhaps a projection, a stack of blocks, perhaps a final norm.
// An encoder is one; an encoder-decoder has two.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "models/backbone.h"
#include "models/layers/distance_bias.h"
#include "models/layers/embedding.h"
#include "models/layers/encoder.h"
#include "models/layers/state_cache.h"

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

  FrozenLayers frozen_layers() const;
  // In training, what so many layers give is the cache's from now on; null: no more.
  void keep_lower(std::shared_ptr<StateCache> cache, int64_t layers);

 private:
  void make_embeddings(torch::nn::Module& root, const EncoderPlan& plan);
  void make_layers(torch::nn::Module& root, const EncoderPlan& plan);
  std::vector<at::Tensor> parameters_of(size_t layer) const;  // what it reads
  at::Tensor embed(const Rows& rows, Precision precision);    // what the first block reads
  at::Tensor run_layer(size_t layer, const at::Tensor& x, const Rows& rows, const Runner& runner);
  // Whether what the kept layers give of these rows follows from their text alone.
  bool keeps(const Rows& rows, const Want& want) const;
  at::Tensor lower(const Rows& rows, Precision precision, const Runner& runner);

  TokenEmbeddings embeddings_{nullptr};
  Linear projection_{nullptr};
  std::vector<EncoderBlock> layers_;  // the same one where layers share a block
  DistanceBias distance_bias_{nullptr};
  LayerNorm final_norm_{nullptr};
  double final_dropout_;
  std::vector<double> dropout_;  // the largest of each layer
  std::shared_ptr<StateCache> cache_;
  size_t kept_layers_ = 0;
};

}  // namespace hone
