// Self-attention whose scores have parts for what two tokens are and for how far apart they are
// (DeBERTa, He et al. 2020, https://arxiv.org/abs/2006.03654): of query i and key j at distance d,
//
//   (q_i k_j + q_i K(d) + k_j Q(d)) / sqrt(dim * parts)
//
// where K(d) and Q(d) are products of the vector of d's bucket.
#pragma once

#include "models/layers/attention.h"
#include "models/layers/relative_positions.h"

namespace hone {

struct DisentangledAttentionOptions {
  int64_t hidden = 0;
  Heads heads;                                                    // as many for keys as for queries
  double dropout = 0.1;                                           // of the probabilities
  bool content_to_position = false, position_to_content = false;  // q K(d); k Q(d)
  int64_t parts = 1;  // of a score, as the scale counts them
  // DeBERTa: queries, keys and values of a head after each other in one matrix without bias,
  // biases of queries and values beside it; position keys have none. Else (DeBERTa-v2) a product
  // with bias for each.
  bool is_joined = false;
  bool shares_products = false;  // K(d) and Q(d) come by the products of keys and queries
};

class DisentangledAttentionImpl : public AttentionLayer {
 public:
  // `positions` are the encoder's, and not below this layer by name; null where nothing reads them.
  DisentangledAttentionImpl(const DisentangledAttentionOptions& options,
                            RelativePositions positions);

  at::Tensor forward(const at::Tensor& x, const Rows& rows) override;

  using torch::nn::Module::to;
  void to(at::Device device, bool non_blocking = false) override;

 private:
  void add_products();
  void add_joined_product();
  void add_position_products();
  Linear product(bool has_bias) const;
  // What attention reads: of the tokens, and of the distances between them.
  void multiply(const at::Tensor& x, const Rows& rows, kernels::AttentionInputs& inputs);
  void add_positions(const at::Tensor& x, const Rows& rows, kernels::AttentionInputs& inputs);

  DisentangledAttentionOptions options_;
  RelativePositions positions_;
  JoinedLinear query_key_value_;
  Linear joined_{nullptr}, query_{nullptr}, key_{nullptr};
  at::Tensor q_bias_, v_bias_;
  Linear position_key_{nullptr}, position_query_{nullptr}, out_{nullptr};
};
TORCH_MODULE(DisentangledAttention);

}  // namespace hone
