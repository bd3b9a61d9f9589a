// The network that BERT-like families share: embeddings, perhaps a projection, a stack of blocks,
// perhaps a final norm, perhaps a pooler. One that predicts the next token (GPT-2, Llama) is the
// same with causal attention. A family file fills in the plan from config.json and its checkpoints'
// names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/backbone.h"
#include "models/block_stack.h"
#include "models/layers/embedding.h"
#include "models/layers/encoder.h"

namespace hone {

// A bias of attention by distance that all layers share; none where it has no buckets.
struct DistanceBiasPlan {
  std::string name;  // its table's, in the whole encoder
  int64_t buckets = 0;
  kernels::BucketOf bucket_of;
};

class EncoderPlan : public NetworkPlan {
 public:
  TokenEmbeddingsOptions embeddings;
  std::string embeddings_name = "embeddings";  // "": the tables are the encoder's own
  std::string projection;  // name of the product from embeddings to blocks; "": none
  int64_t layers = 0;
  BlockOptions block;  // what the layers have in common
  // The checkpoint's name of a layer's block. Layers of one name share it.
  std::function<std::string(int64_t layer)> block_name;
  // Where a layer's block differs from `block`; unset: nowhere.
  std::function<void(int64_t layer, BlockOptions& block)> vary;
  DistanceBiasPlan distance_bias;
  std::string final_norm;               // its name; "": none
  double final_dropout = 0;             // of what it gives (T5)
  std::string pooler = "pooler.dense";  // where sentence_head.uses_pooler

  std::shared_ptr<Backbone> build(const ModelConfig& config) const override;
  double weights() const override;
  std::string layer_name(int64_t layer) const override { return block_name(layer); }

  // config.json's `raw` as what the rest of the program needs of it, with this plan; the family
  // adds its names and heads. Error(kModel) where the plan asks for what no layer here can do.
  ModelConfig described(const Json& raw) const;
  // Error(kModel), likewise.
  void refuse_impossible() const;

  ActivationCounts activations() const override;
};

class EncoderBackbone : public Backbone {
 public:
  EncoderBackbone(const ModelConfig& config, const EncoderPlan& plan);

  at::Tensor forward(std::span<const Packed> streams, const Want& want = {}) override;
  at::Tensor pool(const at::Tensor& first, const Rows& rows) override;
  bool drops_layers() const override { return true; }
  int64_t embedding_width() const override { return stack_.embeddings()->width(); }
  const at::Tensor& word_table() const override { return stack_.embeddings()->words(); }
  std::optional<KeyValueShape> prefix_shape() const override { return prefix_shape_; }
  bool takes_prompt() const override { return true; }
  std::optional<FrozenLayers> frozen_layers() const override;
  void keep_lower(std::shared_ptr<StateCache> cache, int64_t layers) override {
    stack_.keep_lower(std::move(cache), layers);
  }

 private:
  at::Tensor forward_prompted(const Packed& text, Want want);

  BlockStack stack_;
  Linear pooler_{nullptr};
  std::optional<KeyValueShape> prefix_shape_;
};

}  // namespace hone
