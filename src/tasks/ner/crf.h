// A linear-chain CRF over the tags of tokens: what may follow what, learned beside what each token
// may be (models/kernels/crf.h).
#pragma once

#include <string>
#include <vector>

#include "models/kernels/crf.h"
#include "tasks/heads.h"

namespace hone::ner {

constexpr const char* kCrfModule = "crf";         // what names of its weights begin with
constexpr const char* kChainEnds = "chain_ends";  // target [S, 2]: 1 where the sample holds the
                                                  // text's first tag, and its last

// "transitions" [T, T], a row for each tag that is left; "start_transitions" and "end_transitions"
// [T]. A fresh one is all zeros.
class Transitions : public torch::nn::Module {
 public:
  explicit Transitions(const std::vector<std::string>& tags);
  // As kernels::crf_loss_sum takes it. What no IOB2 tags say, an I-X after anything but B-X or I-X
  // or at the beginning, is kForbidden whatever was learned.
  at::Tensor table() const;

 private:
  at::Tensor transitions_, start_, end_;
  at::Tensor forbidden_;  // [T + 2, T] bool
};

// Tokens [N, T], and the table [T + 2, T] for the whole batch.
class CrfHead : public TokenHead {
 public:
  CrfHead(const ModelConfig& config, const std::vector<std::string>& tags);
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  std::vector<std::string> pretrained() const override;

 private:
  std::shared_ptr<Transitions> transitions_;
};

// The tokens of each sample that have a target, as one chain. A long text's windows are chains of
// their own, which begin and end only where it does.
struct Chains {
  at::Tensor rows;  // [M] int64, of the batch's tokens
  at::Tensor tags;  // [M] int64, on the CPU
  std::vector<kernels::CrfChain> chains;
};
Chains chains_of(const Batch& batch, const at::Tensor& targets);

}  // namespace hone::ner
