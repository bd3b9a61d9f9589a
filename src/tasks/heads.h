// Heads that several tasks share: one row of outputs for each sample, or for each token, as
// Transformers builds them.
#pragma once

#include "models/layers/linear.h"
#include "models/layers/norm.h"
#include "tasks/network.h"

namespace hone {

// Each sequence's rows of x [N, H] taken together, [S, H]: their "mean" or "max".
at::Tensor reduce_sequences(const at::Tensor& x, const Packed& tokens, const char* how);
// The row that stands for each sequence [S]: its first, or of a causal model its last, which alone
// has seen all others.
at::Tensor sentence_rows(const Packed& tokens, bool is_causal);

// What both have in common: the layers of a style.
class StyledHead : public Head {
 public:
  void initialise(uint64_t seed) override;
  std::vector<std::string> pretrained() const override;

 protected:
  StyledHead(const HeadStyle& style, const ModelConfig& config, int64_t outputs);

  // x [R, H] fp32, a row for each of `rows` -> [R, outputs]; dropout before the output layer is at
  // `last`.
  at::Tensor outputs_of(at::Tensor x, const Rows& rows, DropoutPlace last);

  const HeadStyle style_;

 private:
  double range_;
  Linear dense_{nullptr}, out_{nullptr};  // dense_ and norm_ where the style names them
  LayerNorm norm_{nullptr};
};

// Samples [S, C]: the family's own sentence head (ModelConfig::sentence_head) on each sample's
// first token, on its last one, or on the mean of its tokens.
class SentenceHead : public StyledHead {
 public:
  SentenceHead(const ModelConfig& config, int64_t outputs);

  Outputs forward(Backbone& backbone, const Batch& batch) override;
  bool uses_pooler() const override { return style_.uses_pooler; }

 private:
  // [S, H] fp32, through the pooler where there is one; `rows` are the first tokens, or the last.
  at::Tensor pooled(Backbone& backbone, const Batch& batch, const Rows& rows);
};

// Tokens [N, C]: the family's own token head (ModelConfig::token_head), or what Transformers makes
// of it for the task.
class TokenHead : public StyledHead {
 public:
  TokenHead(const ModelConfig& config, const HeadStyle& style, int64_t outputs);

  Outputs forward(Backbone& backbone, const Batch& batch) override;
};

}  // namespace hone
