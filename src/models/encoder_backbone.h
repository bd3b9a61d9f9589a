// The network that BERT-like families share: embeddings, perhaps a projection, a stack of blocks,
// perhaps a pooler. A family file fills in the plan from config.json and its checkpoints' names.
#pragma once

#include <memory>
#include <string>

#include "models/backbone.h"
#include "models/layers/embedding.h"
#include "models/layers/encoder.h"

namespace hone {

struct EncoderPlan {
  TokenEmbeddingsOptions embeddings;
  std::string stack = "encoder";  // name of the stack of blocks
  EncoderOptions blocks;
};

class EncoderBackbone : public Backbone {
 public:
  EncoderBackbone(ModelConfig config, const EncoderPlan& plan);

  at::Tensor forward(const Packed& tokens) override;
  at::Tensor forward_first(const Packed& tokens) override;
  at::Tensor pool(const at::Tensor& first) override;
  void set_precision(Precision precision) override;
  void set_recompute(bool recomputes) override { encoder_->set_recompute(recomputes); }

 private:
  at::Tensor embed(const Packed& tokens);  // [N, hidden], what the first block reads

  Precision precision_ = Precision::kFp32;
  TokenEmbeddings embeddings_{nullptr};
  Linear projection_{
      nullptr};  // "embeddings_project", where embeddings are narrower than the blocks (ELECTRA)
  Encoder encoder_{nullptr};
  Linear pooler_{nullptr};  // "pooler.dense", where sentence_head.uses_pooler
};

}  // namespace hone
