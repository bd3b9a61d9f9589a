// Heads that several tasks share: one row of outputs for each sample, or for each token, as
// Transformers builds them.
#pragma once

#include "models/layers/linear.h"
#include "tasks/network.h"

namespace hone {

// Samples [S, C]: the family's own sentence head (ModelConfig::sentence_head) on each sample's
// first token.
class SentenceHead : public Head {
 public:
  SentenceHead(const ModelConfig& config, int64_t outputs);

  at::Tensor forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;
  bool uses_pooler() const override { return style_.uses_pooler; }

 private:
  at::Tensor first_tokens(
      Backbone& backbone,
      const Packed& tokens);  // [S, H] fp32, through the pooler where there is one

  SentenceHeadStyle style_;
  double range_;
  Linear dense_{nullptr};  // where the style names one
  Linear out_{nullptr};
};

// Tokens [N, C]: dropout and a layer with the name that Transformers gives it ("classifier",
// "qa_outputs").
class TokenHead : public Head {
 public:
  TokenHead(const ModelConfig& config, const std::string& name, int64_t outputs);

  at::Tensor forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;

 private:
  double dropout_, range_;
  Linear out_{nullptr};
};

}  // namespace hone
