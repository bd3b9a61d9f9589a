// Token sequences laid end to end. Nothing is padded: N is the number of real tokens of S
// sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone {

struct Packed {
  at::Tensor ids;         // [N] int64
  at::Tensor positions;   // [N] int64, from 0 in each sequence
  at::Tensor segments;    // [N] int64
  at::Tensor cu_seqlens;  // [S + 1] int32, always on the CPU: sequence s is rows cu_seqlens[s] ..
                          // cu_seqlens[s + 1]
  int64_t max_len = 0;    // longest sequence

  // Randomness of dropout. On the CPU a decision is a pure function of (seed, site, key of its row,
  // column), where the key is made of the sample's index in its split and the token's position:
  // gradients with dropout on are the same however a step's samples are split into micro-batches or
  // ranks.
  at::Tensor keys;    // [N] int64
  uint64_t seed = 0;  // mix(run seed, optimizer step); on a GPU also of the batch's first key

  int64_t sequences() const { return cu_seqlens.size(0) - 1; }
  int64_t tokens() const { return ids.size(0); }
  at::Tensor first_rows() const {
    return cu_seqlens.slice(0, 0, sequences()).to(ids.options(), /*non_blocking=*/true);
  }  // [S], REQUIRES: no empty sequence
};

}  // namespace hone
