#include "tasks/causal_decoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace hone {

CausalLmHead& causal_head_of(Network& network) {
  if (auto* head = dynamic_cast<CausalLmHead*>(&network.head())) return *head;
  throw Error(ErrorKind::kUsage,
              fmt::format("a model of the family {} with this task's head does not predict the "
                          "next token: it writes no text",
                          network.backbone().config().model_type));
}

Packed pack_new(const std::vector<NewTokens>& sequences, const KeyValueCache& cache) {
  std::vector<int64_t> ids, positions;
  Packed packed;
  packed.cu_seqlens = at::empty({static_cast<int64_t>(sequences.size()) + 1}, at::kInt);
  auto* ends = packed.cu_seqlens.mutable_data_ptr<int32_t>();
  *ends++ = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<int32_t>& tokens = sequences[s].ids;
    const auto place = static_cast<int64_t>(s), count = static_cast<int64_t>(tokens.size());
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    positions.resize(ids.size());
    std::iota(positions.end() - count, positions.end(),
              place < cache.sequences() ? cache.length(place) : 0);
    packed.max_len = std::max(packed.max_len, count);
    *ends++ = static_cast<int32_t>(ids.size());
  }
  packed.ids = at::tensor(ids, at::kLong);
  packed.positions = at::tensor(positions, at::kLong);
  packed.segments = at::zeros_like(packed.ids);
  packed.keys = at::zeros_like(packed.ids);  // nothing is dropped
  return packed;
}

CausalDecoder::CausalDecoder(Network& network)
    : network_(network),
      head_(causal_head_of(network)),
      cache_(network.backbone().config().num_layers) {}

int64_t CausalDecoder::max_positions() const {
  const Backbone& backbone = network_.backbone();
  return backbone.config().max_positions - backbone.positions_taken();
}

at::Tensor CausalDecoder::next(const std::vector<NewTokens>& sequences) {
  const c10::AutoGradMode no_grad(false);
  Batch batch;
  batch.streams.push_back(pack_new(sequences, cache_));
  batch = network_.place(std::move(batch));
  const at::Tensor last = batch.streams.front().last_rows();
  const at::Tensor states = head_.states(network_.backbone(), batch, last, &cache_);
  return head_.logits(network_.backbone(), states).to(at::kCPU, at::kFloat).contiguous();
}

}  // namespace hone
