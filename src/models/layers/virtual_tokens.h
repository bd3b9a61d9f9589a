// Virtual tokens before the first token of every sequence, whose embeddings are trained:
// prompt-tuning (Lester et al. 2021, https://arxiv.org/abs/2104.08691). To a network they are
// tokens as others: with positions, in attention, through every layer.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/packed.h"

namespace hone {

struct Prompted {
  Packed tokens;         // each sequence's P virtual tokens, then its own P positions further on
  at::Tensor text_rows;  // [N] int64: where the text's own tokens are among them
};

// `prompt` [P, width of word embeddings] fp32, differentiable. Virtual tokens are of segment 0.
Prompted with_prompt(const Packed& text, const at::Tensor& prompt);

}  // namespace hone
