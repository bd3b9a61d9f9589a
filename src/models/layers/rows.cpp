#include "models/layers/rows.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include "models/layers/key_value_cache.h"

namespace hone {
namespace {

// Numbers of the places: 0 is the embeddings', 8 (layer + 1) + place a block's.
constexpr uint32_t kSitesOfABlock = 8;
constexpr uint32_t kFirstHeadSite = 1u << 20;
static_assert(Rows::kMostLayers * kSitesOfABlock < kFirstHeadSite);

}  // namespace

Rows::Rows(const Packed& tokens, bool is_training, KeyValueCache* cache)
    : batch_(std::make_shared<Batch>(
          Batch{tokens, cache, tokens.max_len + (cache == nullptr ? 0 : cache->longest()), {}})),
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
          .keys = keys_};
}

kernels::Rotary Rows::rotary(double theta, int64_t dim) const {
  kernels::Rotary& made = batch_->rotary[{theta, dim}];
  if (!made.cosine.defined())
    made = kernels::rotary_of(kernels::rotary_frequencies(theta, dim).to(tokens().ids.device()),
                              batch_->positions);
  return made;
}

}  // namespace hone
