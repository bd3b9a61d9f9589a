#include "models/layers/rows.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "models/kernels/cannot_replay.h"

namespace hone {
namespace {

// Numbers of the places: 0 is the embeddings', 8 (layer + 1) + place a block's.
constexpr uint32_t kSitesOfABlock = 8;
constexpr uint32_t kFirstHeadSite = 1u << 20;
static_assert(Rows::kMostLayers * kSitesOfABlock < kFirstHeadSite);

// [N, pairs] on the CPU: of each token, the frequencies of its sequence.
at::Tensor frequencies_by_token(const Packed& tokens, const RotaryOptions& options) {
  const at::Tensor positions = tokens.positions.to(at::kCPU).contiguous();
  const auto* position = positions.const_data_ptr<int64_t>();
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  const at::Tensor usual = frequencies_of(options, 0);
  std::vector<at::Tensor> rows;
  for (int64_t s = 0; s < tokens.sequences(); ++s) {
    const int64_t count = ends[s + 1] - ends[s];
    if (count == 0) continue;
    const int64_t length = position[ends[s + 1] - 1] + 1;
    const at::Tensor own =
        depends_on_length(options, length) ? frequencies_of(options, length) : usual;
    rows.push_back(own.unsqueeze(0).expand({count, -1}));
  }
  return at::cat(rows);
}

}  // namespace

Rows::Rows(const Packed& tokens, bool is_training, KeyValueCache* cache)
    : batch_(std::make_shared<Batch>(Batch{tokens, cache, {}, {}, {}, {}})),
      keys_(tokens.keys),
      is_training_(is_training) {}

Rows Rows::at(int64_t layer) const {
  TORCH_CHECK(layer >= 0 && layer < kMostLayers, "[Rows] layer ", layer, " has no places");
  Rows result = *this;
  result.first_site_ = (static_cast<uint32_t>(layer) + 1) * kSitesOfABlock;
  result.layer_ = layer;
  return result;
}

Rows Rows::at_head() const {
  Rows result = *this;
  result.first_site_ = kFirstHeadSite;
  result.layer_ = -1;
  return result;
}

Rows Rows::choose(const at::Tensor& chosen) const {
  Rows result = *this;
  result.chosen_ = chosen;
  result.keys_ = tokens().keys.defined() ? result.of(tokens().keys) : at::Tensor();
  return result;
}

Rows Rows::of_table(int64_t first, int64_t count) const {
  const Packed& all = tokens();
  Packed table;
  table.ids = table.positions = at::arange(first, first + count, all.ids.options());
  table.cu_seqlens = at::tensor({int64_t{0}, count}, at::kInt);
  table.max_len = count;
  table.keys = -1 - table.ids;  // below 0: other decisions than those of tokens
  table.seed = all.seed;
  table.placed_seed = all.placed_seed;
  table.pass = all.pass;
  Rows result(table, is_training_);
  result.first_site_ = first_site_;
  return result;
}

at::Tensor Rows::of(const at::Tensor& x) const {
  return chosen_.defined() ? x.index_select(0, chosen_) : x;
}

kernels::DropoutOptions Rows::dropout(DropoutPlace place, double p) const {
  if (!is_training_ || p == 0) return {};
  return {.p = p,
          .seed = tokens().dropout_seed(),
          .site = first_site_ + static_cast<uint32_t>(place),
          .keys = keys_,
          .placed_seed = tokens().placed_seed,
          .drawn = tokens().drawn};
}

kernels::Rotary Rows::rotary(const RotaryOptions& options) const {
  kernels::Rotary& made = batch_->by_position[options];
  if (!made.cosine.defined())
    made = kernels::rotary_of(placed_frequencies(options, tokens().ids.device()), tokens().max_len,
                              options.amplitude);
  return made;
}

// [N, pairs], a row for each token.
kernels::Rotary Rows::angles_of_tokens(const RotaryOptions& options) const {
  kernels::Rotary& made = batch_->by_token[options];
  if (made.cosine.defined()) return made;
  const Packed& all = tokens();
  const at::Device device = all.ids.device();
  const bool changes = angles_change_behind(options) > 0;
  if (changes && all.placed_seed.defined() && !device.is_cpu())
    throw kernels::CannotReplay("its angles of positions depend on the length of each sequence");
  const at::Tensor frequencies =
      changes ? frequencies_by_token(all, options).to(device) : placed_frequencies(options, device);
  const at::Tensor angles = all.positions.to(at::kFloat).unsqueeze(1) * frequencies;
  made = {angles.cos() * options.amplitude, angles.sin() * options.amplitude};
  return made;
}

at::Tensor Rows::turned(const at::Tensor& x, const RotaryOptions& options) const {
  return kernels::rotate(x, at::arange(x.size(0), tokens().ids.options()),
                         angles_of_tokens(options));
}

}  // namespace hone
