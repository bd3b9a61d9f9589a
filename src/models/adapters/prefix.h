// What makes the keys and values before the tokens (models/layers/key_value_prefix.h): trained
// numbers, or a small network over trained vectors.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "models/adapters/adapter.h"
#include "models/layers/key_value_prefix.h"

namespace hone {

class Prefix : public torch::nn::Module {
 public:
  Prefix(const PrefixOptions& options, const KeyValueShape& shape, uint64_t seed);

  int64_t length() const { return options_.num_virtual_tokens; }
  const KeyValueShape& shape() const { return shape_; }
  bool is_projected() const { return options_.prefix_projection; }
  // In the form of `flat`. REQUIRES: not projected.
  void begin_as(const at::Tensor& keys_and_values);
  // Before each of these tokens' sequences.
  std::shared_ptr<const KeyValuePrefix> before(const Packed& tokens);
  at::Tensor flat();  // [P, layers * 2 * width]: each layer's keys, then its values

 private:
  PrefixOptions options_;
  KeyValueShape shape_;
  at::Tensor embedding_;  // [P, layers * 2 * width], or [P, width] where projected
  at::Tensor inner_weight_, inner_bias_, outer_weight_, outer_bias_;
};

}  // namespace hone
