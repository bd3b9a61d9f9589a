// Sizes that small batches are brought to, so that few sizes recur: a pass that was recorded for a
// size serves every batch of it (tune/replays.h).
#pragma once

#include <cstdint>

#include "tasks/batch.h"

namespace hone {

// Beyond, launches are hidden behind the work itself.
constexpr int64_t kMostTokensOfABucket = 16384;

// The next multiple of an eighth of the power of two that `tokens` reaches, 64 at least: at most
// one token in eight is filler from 512 on.
int64_t bucket_of(int64_t tokens);

// The batch with filler up to its bucket, and its seed as a tensor (Packed::placed_seed). The
// filler is one more sequence behind all samples: tokens of id 0 at position 0, of no sample, and
// rows of each target that carry none (kNoTarget). `max_len` becomes a power of two.
//
// As it is, without a placed seed, where it has more than kMostTokensOfABucket tokens, or more to
// it than tokens and targets: several streams, samples of several sequences, features, parts,
// mixing, a scale of its own, layers that are dropped.
Batch in_bucket(Batch batch);

}  // namespace hone
