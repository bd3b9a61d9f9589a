// A network of two streams: an encoder reads a source, a decoder the tokens of a target so far and
// the encoder's states (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762). Both sides are the
// stack of blocks that EncoderBackbone has.
#pragma once

#include <memory>
#include <string>

#include "models/encoder_backbone.h"
#include "models/layers/source.h"

namespace hone {

class EncoderDecoderPlan : public NetworkPlan {
 public:
  // Each side with its full names ("encoder.block.0"); the decoder's blocks are causal and have a
  // part that reads the source.
  EncoderPlan encoder, decoder;
  // The source's states come as Packed::features of the first stream, a row for each place, and
  // `encoder` is not built (Whisper's text side).
  bool has_encoder = true;
  std::string shared_words;  // a table of words that both sides read; "": each has its own

  std::shared_ptr<Backbone> build(const ModelConfig& config) const override;
  double weights() const override;
  // The encoder's layers first.
  std::string layer_name(int64_t layer) const override;
  int64_t encoder_layers() const { return has_encoder ? encoder.layers : 0; }

  // As EncoderPlan's; `raw` says which tokens a target begins and ends with. The family adds names
  // and `causal_lm`.
  ModelConfig described(const Json& raw) const;

 protected:
  // A token is of one side: what it costs there, where that is more.
  ActivationCounts activations() const override;
};

class EncoderDecoderBackbone : public Backbone {
 public:
  EncoderDecoderBackbone(const ModelConfig& config, const EncoderDecoderPlan& plan);

  // Of the target's tokens. `streams`: source, target. With want.sources the source's stream has
  // those that are new alone, perhaps none. Rows and states of `want` are the target's.
  at::Tensor forward(std::span<const Packed> streams, const Want& want = {}) override;
  bool drops_layers() const override { return true; }
  int64_t embedding_width() const override { return decoder_->embeddings()->width(); }
  // The target's.
  const at::Tensor& word_table() const override { return decoder_->embeddings()->words(); }

 private:
  at::Tensor encode(const Packed& source);  // [M, hidden]; undefined where there is no source
  std::shared_ptr<const Source> source_of(const Packed& source, const Packed& target,
                                          SourceMemory* memory);

  Embedding shared_words_{nullptr};
  std::unique_ptr<BlockStack> encoder_, decoder_;  // encoder_ null: states come as features
};

}  // namespace hone
