// Keys and values that stand before the first token of every sequence: prefix-tuning (Li and Liang
// 2021, https://arxiv.org/abs/2101.00190), and P-tuning v2 (Liu et al. 2021,
// https://arxiv.org/abs/2110.07602), which is the same without a network that makes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/kernels/attention.h"
#include "models/packed.h"

namespace hone {

class KeyValueCache;

// What a network has of keys and values.
struct KeyValueShape {
  int64_t layers = 0, heads = 0, dim = 0;

  int64_t width() const { return heads * dim; }
};

// Of one batch.
class KeyValuePrefix {
 public:
  // `values` [P, layers, 2, heads, dim]: each layer's keys, then its values; differentiable.
  KeyValuePrefix(const at::Tensor& values, const Packed& tokens);

  // Keys and values [N, heads, dim] of the tokens, each sequence's behind the layer's own.
  struct View {
    at::Tensor k, v;  // [N + S P, heads, dim]
    kernels::Stretches of_k;
  };
  View before(int64_t layer, const at::Tensor& k, const at::Tensor& v) const;
  // As the first tokens of every sequence of an empty cache, without a gradient.
  void append_to(KeyValueCache& cache, int64_t layer, at::ScalarType type) const;
  // All that `before` reads of a layer [P, 2, heads, dim].
  const at::Tensor& of_layer(int64_t layer) const { return layers_.at(static_cast<size_t>(layer)); }

 private:
  std::vector<at::Tensor> layers_;
  at::Tensor rows_;  // [N + S P] int64: below P of the prefix, else P + the token's row
  kernels::Stretches of_k_;
  Packed own_;  // P tokens of each sequence
};

// The same tokens P positions further on.
Packed behind_prefix(Packed tokens, int64_t prefix);

}  // namespace hone
