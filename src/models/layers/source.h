// What the blocks of a decoder read beside their own tokens: the states that an encoder made of a
// source, as keys and values that are computed once for each source and layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/kernels/attention.h"
#include "models/layers/key_value_cache.h"
#include "models/layers/rows.h"

namespace hone {

// Of one forward pass. Queries of sequences that share a source lie end to end, so that to
// cross-attention they are one sequence of queries: beams share keys and values without a copy.
struct Source {
  at::Tensor states;        // [M, hidden] of the sources that this pass brings; undefined: of none
  Rows rows;                // theirs; with `memory` of all sources, old ones without a row
  kernels::Stretches of_q;  // rows of the target, by source
  KeyValueCache* memory;    // keys and values of old sources, to which new ones are added; or null
};

// The sources of sequences that grow token by token. Not thread-safe.
struct SourceMemory {
  explicit SourceMemory(int64_t layers) : keys_and_values(layers, /*grows=*/false) {}

  KeyValueCache keys_and_values;  // of a decoder's layers
  // How many sequences of the target read each source, old ones first, in the order of both. Set
  // before each pass.
  std::vector<int64_t> readers = {};
};

}  // namespace hone
