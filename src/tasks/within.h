// Sums and softmaxes over rows that belong together: the tokens of a sequence, the choices of a
// question. `ends` says where each group ends, from 0 on: [G + 1], Packed::cu_seqlens or
// cu_samples.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace hone {

// Log-probabilities of the rows of each group, in each column: x [N, C] fp32 -> [N, C].
at::Tensor log_softmax_within(const at::Tensor& x, const at::Tensor& ends);

// Of each group x [G, …] for each of its rows: [N, …].
at::Tensor spread_within(const at::Tensor& x, const at::Tensor& ends, int64_t rows);

// The mean over each group's rows: x [N, C] -> [G, C].
at::Tensor mean_within(const at::Tensor& x, const at::Tensor& ends);

// The softmax of all values of x, fp32 on the CPU, as results hold it.
std::vector<double> probabilities_of(const at::Tensor& x);

}  // namespace hone
