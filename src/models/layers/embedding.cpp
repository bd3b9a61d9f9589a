#include "models/layers/embedding.h"

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/kernels/embedding.h"
#include "models/layers/dropout_site.h"
#include "models/lazy_zeros.h"

namespace hone {
namespace {

// A GPU's lookup checks by itself; asking here would wait for it.
void check_ids(const at::Tensor& ids, int64_t rows, const char* what) {
  if (!ids.is_cpu()) return;
  const at::Tensor plain = ids.contiguous();
  const auto* first = plain.const_data_ptr<int64_t>();
  const auto bad = std::find_if(first, first + plain.numel(),
                                [&](int64_t id) { return uint64_t(id) >= uint64_t(rows); });
  if (bad == first + plain.numel()) return;
  throw Error(ErrorKind::kData, fmt::format("{} {} is outside of the model's table of {} rows; do "
                                            "tokenizer and model belong together?",
                                            what, *bad, rows));
}

at::Tensor shifted(const at::Tensor& words, const at::Tensor& shift) {
  if (!shift.defined()) return words;
  TORCH_CHECK(shift.sizes() == words.sizes(), "[TokenEmbeddings] expected a shift of ",
              words.sizes(), ", received ", shift.sizes());
  return words + shift;
}

}  // namespace

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t width) {
  weight = register_parameter("weight", lazy_zeros({rows, width}));
}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids, const char* what) {
  check_ids(ids, weight.size(0), what);
  return kernels::embedding(weight, ids);
}

TokenEmbeddingsImpl::TokenEmbeddingsImpl(const TokenEmbeddingsOptions& options)
    : options_(options) {
  words_ = register_module("word_embeddings", Embedding(options.words, options.width));
  positions_ = register_module("position_embeddings", Embedding(options.positions, options.width));
  if (options.segments > 0)
    segments_ =
        register_module("token_type_embeddings", Embedding(options.segments, options.width));
  norm_ = register_module("LayerNorm", LayerNorm(options.width, options.norm_eps));
}

at::Tensor TokenEmbeddingsImpl::forward(const Packed& tokens) {
  const at::Tensor positions = options_.position_offset == 0
                                   ? tokens.positions
                                   : tokens.positions + options_.position_offset;
  at::Tensor sum =
      shifted(words_(tokens.ids, "token id"), tokens.shift) + positions_(positions, "position");
  if (segments_)
    sum = sum + segments_(options_.ignores_segments ? at::zeros_like(tokens.ids) : tokens.segments,
                          "segment");
  return kernels::dropout(norm_(sum),
                          dropout_at(kEmbeddingSite, options_.dropout, is_training(), tokens));
}

}  // namespace hone
