// Multi-head self-attention over packed sequences (Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>

#include "models/layers/distance_bias.h"
#include "models/layers/linear.h"
#include "models/layers/norm.h"
#include "models/layers/rotary.h"
#include "models/packed.h"

namespace hone {

// Query heads share key/value heads evenly where these are fewer (Ainslie et al. 2023,
// https://arxiv.org/abs/2305.13245).
struct Heads {
  int64_t query = 0, key_value = 0, dim = 0;

  int64_t joined() const { return query + 2 * key_value; }  // of queries, keys and values
};

// Of the products, below the attention's own name.
struct AttentionNames {
  std::string query = {}, key = {}, value = {};  // or
  std::string joined = {};                       // the three in one
  std::string out;
  std::string query_norm = {}, key_norm = {};  // "": none
};

// The product of keys. Where it has no bias and its neighbours have, its bias is zeros that are no
// weight, so that the three may be one product.
Linear key_product(int64_t in, int64_t out, bool has_bias, bool key_has_bias);

struct SelfAttentionOptions {
  int64_t hidden = 0;
  Heads heads;
  bool has_bias = true;         // the products
  bool out_has_bias = true;     // the last of them, where the others have (Qwen 2's has none)
  bool key_has_bias = true;     // that of keys, likewise (Whisper's has none)
  double dropout = 0.1;         // of the attention probabilities
  int64_t window = 0;           // keys within this distance only, both ways; 0: all. Causal: so
                                // many before a token, which sees itself too
  RotaryOptions rotary = {};    // of queries and keys
  double norm_eps = 1e-6;       // of RMS norms of each head's queries and keys, where these have
                                // names (Qwen 3)
  double scale = 0;             // of the scores; 0: 1 / sqrt(dim)
  double soft_cap = 0;          // of the scaled scores; 0: none
  DistanceBias bias = nullptr;  // of the scores; the encoder's; null: none
  bool is_causal = false;
  AttentionNames names;
};

// What mixes the tokens of a sequence in a block.
class AttentionLayer : public torch::nn::Module {
 public:
  // x [N, hidden] of all tokens -> [R, hidden] of `rows`.
  virtual at::Tensor forward(const at::Tensor& x, const Rows& rows) = 0;
};

class SelfAttentionImpl : public AttentionLayer {
 public:
  explicit SelfAttentionImpl(const SelfAttentionOptions& options);

  at::Tensor forward(const at::Tensor& x, const Rows& rows) override;

  using torch::nn::Module::to;
  void to(at::Device device, bool non_blocking = false) override;

 private:
  // Queries, keys and values of all tokens: as one product, or apart where they are normed or
  // turned here: before they are kept, and by angles that depend on a sequence's length.
  kernels::AttentionInputs read(const at::Tensor& x, const Rows& all);
  // What these tokens' queries see where others came before them.
  static kernels::AttentionInputs with_earlier(const kernels::AttentionInputs& inputs,
                                               const Rows& rows);
  // The same of a prefix that is trained.
  static kernels::AttentionInputs behind(const KeyValuePrefix& prefix,
                                         const kernels::AttentionInputs& inputs, const Rows& rows);

  SelfAttentionOptions options_;
  JoinedLinear query_key_value_;
  LayerNorm query_norm_{nullptr}, key_norm_{nullptr};
  Linear out_{nullptr};
};
TORCH_MODULE(SelfAttention);

}  // namespace hone
