#include "tasks/causal_decoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
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
  int64_t all = 0;
  for (const NewTokens& sequence : sequences) all += static_cast<int64_t>(sequence.ids.size());
  Packed packed;
  packed.ids = at::empty({all}, at::kLong);
  packed.positions = at::empty({all}, at::kLong);
  auto *id = packed.ids.mutable_data_ptr<int64_t>(),
       *position = packed.positions.mutable_data_ptr<int64_t>();
  packed.cu_seqlens = at::empty({static_cast<int64_t>(sequences.size()) + 1}, at::kInt);
  auto* ends = packed.cu_seqlens.mutable_data_ptr<int32_t>();
  *ends = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<int32_t>& tokens = sequences[s].ids;
    const auto place = static_cast<int64_t>(s), count = static_cast<int64_t>(tokens.size());
    id = std::copy(tokens.begin(), tokens.end(), id);
    std::iota(position, position + count, place < cache.sequences() ? cache.length(place) : 0);
    position += count;
    packed.max_len = std::max(packed.max_len, count);
    ends[1] = ends[0] + static_cast<int32_t>(count);
    ++ends;
  }
  packed.segments = packed.keys = at::zeros({all}, at::kLong);  // nothing is dropped
  return packed;
}

CausalDecoder::CausalDecoder(Network& network)
    : network_(network),
      head_(causal_head_of(network)),
      packed_(network),
      cache_(network.backbone().config().num_layers) {
  const ModelConfig& config = network.backbone().config();
  if (config.recomputes_where_angles_change) border_ = config.angles_change_behind;
}

int64_t CausalDecoder::max_positions() const {
  const Backbone& backbone = network_.backbone();
  return backbone.config().max_positions - backbone.positions_taken();
}

// Nothing takes any; see may_keep.
int64_t TurnDecoder::max_positions() const { return network_.backbone().config().max_positions; }

void CausalDecoder::select(std::span<const int64_t> sequences) {
  cache_.select(sequences);
  if (border_ == 0) return;
  std::vector<std::vector<int32_t>> ids;
  for (const int64_t sequence : sequences) ids.push_back(ids_[static_cast<size_t>(sequence)]);
  ids_ = std::move(ids);
}

void CausalDecoder::cut(int64_t sequence, int64_t length) {
  cache_.cut(sequence, length);
  if (border_ > 0) ids_[static_cast<size_t>(sequence)].resize(static_cast<size_t>(length));
}

// A sequence whose keys were turned by other angles than it has from now on begins anew.
std::vector<NewTokens> CausalDecoder::with_outgrown(const std::vector<NewTokens>& sequences) {
  if (border_ == 0) return sequences;
  std::vector<NewTokens> tokens = sequences;
  ids_.resize(sequences.size());
  for (size_t s = 0; s < tokens.size(); ++s) {
    std::vector<int32_t>& ids = ids_[s];
    const auto before = static_cast<int64_t>(ids.size());
    ids.insert(ids.end(), tokens[s].ids.begin(), tokens[s].ids.end());
    if (before == 0 || before > border_ || static_cast<int64_t>(ids.size()) <= border_) continue;
    cache_.cut(static_cast<int64_t>(s), 0);
    tokens[s].ids = ids;
  }
  return tokens;
}

at::Tensor CausalDecoder::next(const std::vector<NewTokens>& sequences) {
  const c10::AutoGradMode no_grad(false);
  Batch batch;
  batch.streams.push_back(pack_new(with_outgrown(sequences), cache_));
  batch = network_.place(std::move(batch));
  const at::Tensor last = batch.streams.front().last_rows();
  const at::Tensor states = head_.states(network_.backbone(), batch, last, &cache_);
  return head_.logits(network_.backbone(), states).to(at::kCPU, at::kFloat).contiguous();
}

bool TurnDecoder::may_keep(const Network& network) {
  return network.backbone().positions_taken() == 0 && !network.backbone().config().encoder_decoder;
}

// The prompt's tokens behind those that are known; the last one at least, whose logits are asked
// for. Beyond where angles change nothing is taken for known.
std::vector<int32_t> TurnDecoder::without_known(const std::vector<int32_t>& prompt) {
  const int64_t border = network_.backbone().config().angles_change_behind;
  const auto longest = static_cast<int64_t>(std::max(prompt.size(), known_.size()));
  if (border > 0 && longest > border) known_.clear(), decoder_.reset();
  const auto most = std::min(prompt.size() - 1, known_.size());
  const auto [differs, unused] =
      std::mismatch(prompt.begin(), prompt.begin() + static_cast<int64_t>(most), known_.begin());
  const auto same = differs - prompt.begin();
  if (!decoder_) decoder_ = std::make_unique<CausalDecoder>(network_);
  if (!known_.empty()) decoder_->cut(0, same);
  known_.resize(static_cast<size_t>(same));
  return {differs, prompt.end()};
}

at::Tensor TurnDecoder::next(const std::vector<NewTokens>& sequences) {
  TORCH_CHECK(sequences.size() == 1, "[TurnDecoder] ", sequences.size(),
              " sequences, but it holds one");
  const NewTokens& given = sequences.front();
  const NewTokens tokens{given.prompt, begins_ ? without_known(given.ids) : given.ids};
  try {
    at::Tensor logits = decoder_->next({tokens});
    known_.insert(known_.end(), tokens.ids.begin(), tokens.ids.end());
    begins_ = false;
    return logits;
  } catch (...) {  // a cache is of no use after a pass that failed
    known_.clear();
    decoder_.reset();
    begins_ = true;
    throw;
  }
}

void TurnDecoder::select(std::span<const int64_t> sequences) { begins_ = sequences.empty(); }

}  // namespace hone
