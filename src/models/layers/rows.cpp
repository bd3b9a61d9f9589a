#include "models/layers/rows.h"

namespace hone {
namespace {

// Numbers of the places: 0 is the embeddings', 8 (layer + 1) + place a block's.
constexpr uint32_t kSitesOfABlock = 8;
constexpr uint32_t kFirstHeadSite = 1u << 20;
static_assert(Rows::kMostLayers * kSitesOfABlock < kFirstHeadSite);

}  // namespace

Rows::Rows(const Packed& tokens, bool is_training)
    : batch_(std::make_shared<Batch>(Batch{tokens, {}})),
      keys_(tokens.keys),
      is_training_(is_training) {}

Rows Rows::at(int64_t layer) const {
  TORCH_CHECK(layer >= 0 && layer < kMostLayers, "[Rows] layer ", layer, " has no places");
  Rows result = *this;
  result.first_site_ = (static_cast<uint32_t>(layer) + 1) * kSitesOfABlock;
  return result;
}

Rows Rows::at_head() const {
  Rows result = *this;
  result.first_site_ = kFirstHeadSite;
  return result;
}

Rows Rows::choose(const at::Tensor& chosen) const {
  Rows result = *this;
  result.chosen_ = chosen;
  result.keys_ = tokens().keys.defined() ? result.of(tokens().keys) : at::Tensor();
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
                              tokens().max_len);
  return made;
}

}  // namespace hone
