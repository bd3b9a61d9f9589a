// Which tokens of a batch are guessed, and what stands in their place: 15 of 100 words are chosen;
// of their tokens 80 of 100 become the mask, 10 another token, 10 stay (Devlin et al. 2019,
// https://arxiv.org/abs/1810.04805). Each decision is a pure function of a seed and its token's
// key, so that it does not depend on the batch.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/batch.h"

namespace hone::mlm {

// The words of a sample's tokens: a target for each token, kNoTarget for those never chosen.
constexpr const char* kWords = "words";

struct Masking {
  double probability = 0.15;
  int32_t mask_id = -1;
  int64_t vocabulary = 0;  // tokens that may stand for another
};

struct Masked {
  Batch batch;         // with other ids
  at::Tensor rows;     // [R] int64, ascending: those chosen, on the batch's device
  at::Tensor targets;  // [R] int64: what stood there; -100: a mask of the text's own
  int64_t count = 0;   // rows with a target
};

// For training: anew at each step, by the batch's seed and the keys of its rows. Of a sample that
// has words at least one is chosen. Masks of a text's own are never chosen.
Masked draw_masks(const Batch& batch, const Masking& masking);

// For evaluation and answers: the same at any time and in any batch, by the sample's tokens alone.
// Of a sample with masks of its own these are the rows, and no others.
Masked fixed_masks(const Batch& batch, const Masking& masking);

}  // namespace hone::mlm
