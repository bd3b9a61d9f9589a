// Embedding lookup whose gradient touches only the rows that were looked up.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace hone::kernels {

// table [V, H] fp32, ids [N] int64 -> [N, H] fp32. The gradient of `table` is dense in shape but
// written row-sparse: rows are summed in a fixed order (sorted ids), so it does not depend on
// threads.
//
// backward() on a leaf table adds into table.grad() in place and remembers which rows; a gradient
// that is set to undefined afterwards is reused by the next backward, which clears those rows only.
// Any other use (autograd::grad, a table that is itself computed) gets an ordinary dense gradient.
at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids);

// Rows of `table` where table.grad() may differ from zero, ascending; null where that may be any
// row (no lookup, or something else has written to the gradient as well). Valid until the next
// backward.
const std::vector<int64_t>* touched_rows(const at::Tensor& table);

// `prepare` is called with the ids before each lookup, so that an optimizer may bring rows up to
// date only then; empty: no more.
void before_lookup(const at::Tensor& table,
                   std::function<void(const int64_t* ids, int64_t count)> prepare);

}  // namespace hone::kernels
