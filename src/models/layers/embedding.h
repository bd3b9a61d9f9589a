// Lookup tables, and the sum of word, position and segment embeddings that BERT-like encoders begin
// with.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>
#include <vector>

#include "models/kernels/embedding.h"
#include "models/layers/linear.h"
#include "models/layers/norm.h"
#include "models/layers/rows.h"

namespace hone {

class EmbeddingImpl : public torch::nn::Module {
 public:
  // `padding`: a row that no lookup trains; below 0 or after the last: none.
  EmbeddingImpl(int64_t rows, int64_t width, int64_t padding = -1);

  // ids [N] int64 -> [N, width] fp32. An id outside of the table is an Error(kData) that calls it
  // `what` ("token id").
  at::Tensor forward(const at::Tensor& ids, const char* what);

  int64_t padding() const { return padding_; }  // -1: none

  at::Tensor weight;  // [rows, width] fp32
  // Which of its rows have a gradient, and what an optimizer has them wait for.
  const c10::intrusive_ptr<kernels::TableRows> rows = c10::make_intrusive<kernels::TableRows>();

 private:
  int64_t padding_;
};
TORCH_MODULE(Embedding);

struct EmbeddingNames {  // norm "": none
  std::string words = "word_embeddings", positions = "position_embeddings",
              segments = "token_type_embeddings", tasks = "task_type_embeddings",
              projection = "embed_proj", norm = "LayerNorm";
};

struct TokenEmbeddingsOptions {
  int64_t words = 0, width = 0;  // rows and columns of the word table
  // The row of words that fills batches up in the reference, where no lookup trains it; -1: none.
  // A text may have it: <s> in models whose config.json calls it "pad_token_id", a decoder's first
  // token, the end of a turn.
  int64_t padding = -1;
  int64_t positions = 0, segments = 0;  // rows of the other tables; 0: no such table
  int64_t tasks = 0;  // rows of ERNIE's table of pre-training tasks, whose row 0 all tokens get
  int64_t position_offset = 0;  // RoBERTa: position p is row padding_idx + 1 + p
  bool ignores_segments =
      false;              // RoBERTa: row 0 whatever the segment, as its tokenizers give no segments
  int64_t projected = 0;  // DeBERTa: columns after a product before the norm; 0: no such product
  double norm_eps = 1e-12, dropout = 0.1;
  NormKind norm_kind = NormKind::kLayer;
  double scale = 1;  // of the word embeddings (Gemma)
  EmbeddingNames names = {};
  // Positions are sines and cosines (Vaswani et al. 2017), which nothing trains: unless a
  // checkpoint brings the table, it is the formula's.
  bool has_sinusoids = false;
  Embedding shared =
      nullptr;  // a table of words that stands elsewhere by name, in place of one here
};

// dropout(norm(scale * (word + shift) + position + segment + task)) [N, width] fp32; where there is
// a product, dropout(norm(product(…))) [N, projected].
class TokenEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit TokenEmbeddingsImpl(const TokenEmbeddingsOptions& options);

  at::Tensor forward(const Rows& rows);  // REQUIRES: all rows
  int64_t width() const { return options_.width; }
  double dropout() const { return options_.dropout; }
  const at::Tensor& words() const { return words_->weight; }  // the table

 private:
  std::vector<kernels::LookedUp> tables_of(const Packed& tokens) const;
  at::Tensor summed(const Packed& tokens);  // words, positions, segments, tasks

  TokenEmbeddingsOptions options_;
  Embedding words_{nullptr}, positions_{nullptr}, segments_{nullptr}, tasks_{nullptr};
  Linear projection_{nullptr};
  LayerNorm norm_{nullptr};
};
TORCH_MODULE(TokenEmbeddings);

}  // namespace hone
