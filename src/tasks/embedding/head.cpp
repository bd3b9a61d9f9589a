#include "tasks/embedding/head.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
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

Outputs EmbeddingHead::forward(Backbone& backbone, const Batch& batch) {
  const auto streams = static_cast<int64_t>(batch.streams.size());
  at::Tensor vectors = pooled(backbone, joined(batch.streams), pooling_);
  if (is_unit_) vectors = unit(vectors);
  const int64_t width = vectors.size(1), samples = vectors.size(0) / streams;
  return vectors.view({streams, samples, width})
      .transpose(0, 1)
      .reshape({samples, streams * width});
}

}  // namespace hone::embedding
