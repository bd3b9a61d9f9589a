// Trading time for memory: a block's inner activations are computed again in the backward pass
// instead of being kept (Chen et al. 2016, https://arxiv.org/abs/1604.06174).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace hone {

// block(x), of which only x is kept for backward. Gradients are the same bits as without, dropout's
// too: its decisions are recomputed from counters. `block` must do the same each time and outlive
// the graph. Where x has no gradient (the layers below are frozen) it runs as usual.
at::Tensor recomputed(const std::function<at::Tensor(const at::Tensor&)>& block,
                      const at::Tensor& x);

}  // namespace hone
