// Token sequences laid end to end. Nothing is padded: N is the number of real tokens of S
// sequences.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/random.h"

namespace hone {

struct Packed {
  at::Tensor ids;          // [N] int64
  at::Tensor positions;    // [N] int64, from 0 in each sequence
  at::Tensor segments;     // [N] int64
  at::Tensor cu_seqlens;   // [S + 1] int32, always on the CPU: sequence s is rows cu_seqlens[s] ..
                           // cu_seqlens[s + 1]
  at::Tensor placed_ends;  // the same where the ids are, if these are elsewhere, or undefined
  int64_t max_len = 0;     // longest sequence
  // Samples that are several sequences each (the choices of a question): sample b is sequences
  // cu_samples[b] .. cu_samples[b + 1]. [B + 1] int32, always on the CPU; undefined: each is one.
  at::Tensor cu_samples;

  // Floats beside the ids, for what is not text (pictures, sound): [F, width] fp32, or undefined.
  at::Tensor features;
  // Added to the word embeddings before anything else is done with them, and differentiable: noise
  // goes in here. [N, their width] fp32, or undefined.
  at::Tensor shift;
  // Rows of virtual tokens, and the word embeddings that they have in place of the table's
  // (models/layers/virtual_tokens.h): [V] int64 and [V, width] fp32, differentiable; or undefined.
  at::Tensor prompt_rows, prompt;

  // Randomness of dropout. A decision is a pure function of (seed, pass, site, key of its row,
  // column), where the key is made of the sample's index in its split and the token's position:
  // gradients with dropout on are the same however a step's samples are split into micro-batches or
  // ranks.
  at::Tensor keys;     // [N] int64
  uint64_t seed = 0;   // mix(run seed, optimizer step)
  uint64_t drawn = 0;  // for what a GPU draws itself (attention's dropout): of the first key, so
                       // that micro-batches of a step draw apart
  uint32_t pass = 0;   // over this batch in its step: passes of one number share their decisions
  // [1] int64 where the ids are: dropout's seed as a pass finds it when it runs, of a batch whose
  // pass is recorded and replayed with others; or undefined.
  at::Tensor placed_seed;
  // Each block leaves a sample as it was with this probability, in training (models/layers/
  // layer_drop.h).
  double layer_drop = 0;
  uint64_t dropout_seed() const {
    if (placed_seed.defined() && placed_seed.is_cpu())
      return static_cast<uint64_t>(*placed_seed.const_data_ptr<int64_t>());
    return pass == 0 ? seed : mix(seed, pass);
  }

  // Whose rows `features` are: those of sequence s are feature_ends[s] .. feature_ends[s + 1].
  at::Tensor feature_ends;  // [S + 1] int32, always on the CPU; undefined where there are none

  int64_t sequences() const { return cu_seqlens.size(0) - 1; }
  int64_t tokens() const { return ids.size(0); }
  int64_t samples() const { return cu_samples.defined() ? cu_samples.size(0) - 1 : sequences(); }
  // The first sequence of a sample; of the one behind the last, their number.
  int64_t first_sequence(int64_t sample) const {
    return cu_samples.defined() ? cu_samples.const_data_ptr<int32_t>()[sample] : sample;
  }
  at::Tensor first_rows() const {
    return ends_there().slice(0, 0, sequences()).to(ids.options(), /*non_blocking=*/true);
  }  // [S], REQUIRES: no empty sequence
  at::Tensor last_rows() const {
    return ends_there().slice(0, 1).to(ids.options(), /*non_blocking=*/true) - 1;
  }  // likewise
  const at::Tensor& ends_there() const { return placed_ends.defined() ? placed_ends : cu_seqlens; }
};

}  // namespace hone
