// LayerDrop by sample (Fan et al. 2020, https://arxiv.org/abs/1909.11556; by sample as in Huang et
// al. 2016, https://arxiv.org/abs/1603.09382): in training a block is left out for some samples,
// whose rows stay as they were. Nothing is scaled: an evaluation runs all blocks as they are.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/layers/rows.h"

namespace hone {

// `out` [R, H], what the block at the place of `rows` gives for its rows of `in` [N, H]; of samples
// that leave the block out those rows of `in` themselves. A decision is a function of seed, step,
// pass, layer and sample; Packed::layer_drop is its probability, 0 and outside of training none is
// taken.
at::Tensor after_layer_drop(const at::Tensor& in, const at::Tensor& out, const Rows& rows);

}  // namespace hone
