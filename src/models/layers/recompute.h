// Trading time for memory: a block's inner activations are computed again in the backward pass
// instead of being kept (Chen et al. 2016, https://arxiv.org/abs/1604.06174).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace hone {

// block(x), of which only x is kept for backward. Gradients are those without, dropout's too: its
// decisions are recomputed from counters. `block` must do the same each time. Where x has no
// gradient (the layers below are frozen) it runs as usual.
// `parameters`: all that the block reads. The graph around it adds their gradients up in the order
// it would have without, so that they are the same bits also where several calls share a block.
// Where none are given, the block's parameters add to their gradients when its turn comes.
at::Tensor recomputed(const std::function<at::Tensor(const at::Tensor&)>& block,
                      const at::Tensor& x, const std::vector<at::Tensor>& parameters = {});

}  // namespace hone
