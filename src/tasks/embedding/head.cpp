#include "tasks/embedding/head.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/layers/adopt.h"
#include "tasks/heads.h"

namespace hone::embedding {
namespace {

// All streams end to end as one.
Packed joined(const std::vector<Packed>& streams) {
  if (streams.size() == 1) return streams.front();
  Packed all = streams.front();
  const auto join = [&](at::Tensor Packed::* column) {
    std::vector<at::Tensor> parts;
    for (const Packed& stream : streams) parts.push_back(stream.*column);
    if (parts.front().defined()) all.*column = at::cat(parts);
  };
  for (const auto column :
       {&Packed::ids, &Packed::positions, &Packed::segments, &Packed::keys, &Packed::shift})
    join(column);
  std::vector<at::Tensor> ends = {streams.front().cu_seqlens};
  int64_t tokens = streams.front().tokens();
  for (size_t s = 1; s < streams.size(); ++s) {
    ends.push_back(streams[s].cu_seqlens.slice(0, 1) + tokens);
    tokens += streams[s].tokens();
    all.max_len = std::max(all.max_len, streams[s].max_len);
  }
  all.cu_seqlens = at::cat(ends);
  return all;
}

}  // namespace

at::Tensor unit(const at::Tensor& x) {
  constexpr double kLeast = 1e-12;  // as torch.nn.functional.normalize has it
  const at::Tensor length = x.norm(2, {-1}, /*keepdim=*/true);
  return x * length.gt(kLeast) / length.clamp_min(kLeast);
}

void refuse_blind_pooling(Pooling pooling, const ModelConfig& config) {
  if (pooling != Pooling::kFirst || !config.is_causal) return;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("pooling \"cls\" takes a text's first token, which in a causal model ({}) "
                  "has seen no other; take \"mean\"",
                  config.model_type));
}

at::Tensor pooled(Backbone& backbone, const Packed& texts, Pooling pooling) {
  const std::span one(&texts, 1);
  if (pooling == Pooling::kFirst)
    return backbone.forward(one, {.rows = texts.first_rows()}).to(at::kFloat);
  return reduce_sequences(backbone.forward(one).to(at::kFloat), texts,
                          pooling == Pooling::kMax ? "max" : "mean");
}

EmbeddingHead::EmbeddingHead(Pooling pooling, bool is_unit, const ModelConfig& config,
                             const Options& options, const std::optional<Dense>& begun)
    : pooling_(pooling),
      is_unit_(is_unit),
      is_tanh_(options.dense_activation == "tanh"),
      range_(config.initializer_range),
      dense_(adopt(*this, kDenseLayer, Linear(config.hidden_size, options.dense))),
      begun_(begun) {
  if (!begun_ || begun_->weight.sizes() == dense_->weight.sizes()) return;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("the layer behind the pooling is to make {} numbers of {}, but that of the "
                  "model's folder makes {} of {} (task.dense)",
                  options.dense, config.hidden_size, begun_->weight.size(0),
                  begun_->weight.size(1)));
}

void EmbeddingHead::initialise(uint64_t seed) {
  if (dense_) dense_->initialise(range_, seed);
}

void EmbeddingHead::rename(StateDict& checkpoint) const {
  if (!begun_) return;
  const std::string name = kDenseLayer;
  checkpoint.emplace(name + ".weight", begun_->weight.clone());
  checkpoint.emplace(name + ".bias", begun_->bias.clone());
}

Outputs EmbeddingHead::forward(Backbone& backbone, const Batch& batch) {
  const auto streams = static_cast<int64_t>(batch.streams.size());
  const Packed texts = joined(batch.streams);
  at::Tensor vectors = pooled(backbone, texts, pooling_);
  if (dense_) {
    vectors = dense_(vectors, Rows(texts, is_training()).choose(texts.first_rows()).at_head());
    if (is_tanh_) vectors = vectors.tanh();
  }
  if (is_unit_) vectors = unit(vectors);
  const int64_t width = vectors.size(1), samples = vectors.size(0) / streams;
  return vectors.view({streams, samples, width})
      .transpose(0, 1)
      .reshape({samples, streams * width});
}

}  // namespace hone::embedding
