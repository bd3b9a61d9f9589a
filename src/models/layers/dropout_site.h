// Numbers of the places where dropout happens: unique in a network, so that no two share decisions.
// 0 is the embeddings' output, 8 (layer + 1) + place are the encoder's; heads take numbers from
// kFirstHeadSite.
#pragma once

#include "models/kernels/dropout.h"
#include "models/packed.h"

namespace hone {

constexpr uint32_t kEmbeddingSite = 0;
constexpr uint32_t kFirstHeadSite = 1u << 20;
enum class DropoutPlace : uint32_t { kAttention = 0, kAttentionOut = 1, kFeedForwardOut = 2 };

constexpr uint32_t dropout_site(int64_t layer, DropoutPlace place) {
  return uint32_t(layer + 1) * 8 + uint32_t(place);
}

// Dropout of one row per token; identity outside of training.
inline kernels::DropoutOptions dropout_at(uint32_t site, double p, bool training,
                                          const Packed& tokens) {
  if (!training || p == 0) return {};
  return {.p = p, .seed = tokens.dropout_seed(), .site = site, .keys = tokens.keys};
}

}  // namespace hone
