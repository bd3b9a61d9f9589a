#include "models/layers/embedding.h"

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
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

// [positions, width]: sines of all frequencies, then cosines. In double precision, as the reference
// computes it.
void fill_sinusoids(const at::Tensor& table) {
  const int64_t rows = table.size(0), width = table.size(1), sines = (width + 1) / 2;
  auto* out = table.mutable_data_ptr<float>();
  for (int64_t position = 0; position < rows; ++position) {
    for (int64_t column = 0; column < width; ++column) {
      const bool is_sine = column < sines;
      const int64_t frequency = is_sine ? column : column - sines;
      const double angle =
          double(position) / std::pow(10000.0, 2.0 * double(frequency) / double(width));
      *out++ = float(is_sine ? std::sin(angle) : std::cos(angle));
    }
  }
}

at::Tensor shifted(const at::Tensor& words, const at::Tensor& shift) {
  if (!shift.defined()) return words;
  TORCH_CHECK(shift.sizes() == words.sizes(), "[TokenEmbeddings] expected a shift of ",
              words.sizes(), ", received ", shift.sizes());
  return words + shift;
}

}  // namespace

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t width, int64_t padding)
    : padding_(padding < rows ? padding : -1) {
  weight = register_parameter("weight", lazy_zeros({rows, width}));
}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids, const char* what) {
  check_ids(ids, weight.size(0), what);
  return kernels::embedding(weight, ids, rows, padding_);
}

TokenEmbeddingsImpl::TokenEmbeddingsImpl(const TokenEmbeddingsOptions& options)
    : options_(options) {
  const auto table = [&](const std::string& name, int64_t rows, int64_t padding = -1) -> Embedding {
    if (rows == 0) return nullptr;
    return register_module(name, Embedding(rows, options.width, padding));
  };
  words_ =
      options.shared ? options.shared : table(options.names.words, options.words, options.padding);
  positions_ = table(options.names.positions, options.positions);
  if (options.has_sinusoids) {
    positions_->weight.set_requires_grad(false);
    fill_sinusoids(positions_->weight);
  }
  segments_ = table(options.names.segments, options.segments);
  tasks_ = table(options.names.tasks, options.tasks);
  if (options.projected > 0)
    projection_ = register_module(options.names.projection,
                                  Linear(options.width, options.projected, /*has_bias=*/false));
  const int64_t width = options.projected > 0 ? options.projected : options.width;
  if (!options.names.norm.empty())
    norm_ =
        register_module(options.names.norm, LayerNorm(width, options.norm_eps, options.norm_kind));
}

std::vector<kernels::LookedUp> TokenEmbeddingsImpl::tables_of(const Packed& tokens) const {
  std::vector<kernels::LookedUp> tables = {{words_->weight, tokens.ids, words_->padding()}};
  const bool is_offset = options_.position_offset != 0;
  if (positions_)
    tables.push_back({positions_->weight,
                      is_offset ? tokens.positions + options_.position_offset : tokens.positions});
  if (segments_)
    tables.push_back(
        {segments_->weight, options_.ignores_segments ? at::Tensor() : tokens.segments});
  if (tasks_) tables.push_back({tasks_->weight, {}});
  return tables;
}

at::Tensor TokenEmbeddingsImpl::summed(const Packed& tokens) {
  if (!tokens.ids.is_cpu() && !tokens.shift.defined() && !tokens.prompt.defined()) {
    const std::vector<kernels::LookedUp> tables = tables_of(tokens);
    if (kernels::has_embedding_sum(tables))
      return kernels::embedding_sum(tables, tokens.tokens(), options_.scale);
  }
  at::Tensor words = words_(tokens.ids, "token id");
  if (tokens.prompt.defined()) words = words.index_copy(0, tokens.prompt_rows, tokens.prompt);
  at::Tensor sum = shifted(words, tokens.shift);
  if (options_.scale != 1) sum = sum * options_.scale;
  if (positions_) {
    const at::Tensor positions = options_.position_offset == 0
                                     ? tokens.positions
                                     : tokens.positions + options_.position_offset;
    sum = sum + positions_(positions, "position");
  }
  if (segments_)
    sum = sum + segments_(options_.ignores_segments ? at::zeros_like(tokens.ids) : tokens.segments,
                          "segment");
  if (tasks_) sum = sum + tasks_(at::zeros_like(tokens.ids), "task");
  return sum;
}

at::Tensor TokenEmbeddingsImpl::forward(const Rows& rows) {
  at::Tensor sum = summed(rows.tokens());
  if (projection_) sum = projection_(sum, rows);
  return kernels::dropout(norm_ ? norm_(sum) : sum,
                          rows.dropout(DropoutPlace::kEmbeddings, options_.dropout));
}

}  // namespace hone
