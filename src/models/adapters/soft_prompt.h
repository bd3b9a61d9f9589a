// The trained embeddings of virtual tokens (models/layers/virtual_tokens.h).
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "models/adapters/adapter.h"

namespace hone {

class SoftPrompt : public torch::nn::Module {
 public:
  // As those of words of `table` [vocabulary, width], drawn or the ids of a text, or random.
  SoftPrompt(const SoftPromptOptions& options, const at::Tensor& table,
             const std::vector<int32_t>& text, uint64_t seed);

  int64_t length() const { return embeddings_.size(0); }
  const at::Tensor& embeddings() const { return embeddings_; }  // [P, width]

 private:
  at::Tensor embeddings_;
};

}  // namespace hone
